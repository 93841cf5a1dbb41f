import assert from 'node:assert/strict';
import { test } from 'node:test';

import { snapshot } from './plugin.ts';
import { context, setConfig } from './sdk/testing.js';

test('the state is the greeting', () => {
  setConfig('greeting', 'ahoy');
  assert.deepEqual(snapshot.provide(context('greetings')), ['{"text":"ahoy"}']);
});
