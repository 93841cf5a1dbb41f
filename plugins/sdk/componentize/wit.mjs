// Prints the contract with a world `guest` that has every kind the SDKs know: what their bindings are generated from.
import { contract } from './index.mjs';

console.log(contract('guest'));
