/** `@tidegate/client`: what a page uses. */
import { Tidegate } from "./client.js";
/**
 * Connects to a server, `https://live.example.com` or the path on the page's own origin. `Channels` is what
 * `tidegate types --lang ts` prints.
 */
export function tidegate(url = "/", options = {}) {
    return new Tidegate(url, options);
}
