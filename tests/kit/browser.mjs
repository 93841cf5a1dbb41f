// A real browser, headless: the one of the machine.

import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

// What a browser would ask of the internet by itself, and a test has no use for.
const QUIET = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/**
 * Starts the browser; `CHROMIUM` names one that is elsewhere. With `keepsPages` a page that is left lives on in the
 * back/forward cache, as it does for people.
 */
export async function openBrowser({ keepsPages = false } = {}) {
  const executablePath = process.env.CHROMIUM ?? PLACES.find((place) => existsSync(place));
  if (!executablePath) throw new Error("no Chromium on this machine: install it, or set CHROMIUM to its path");
  // Its sandbox does not run as root, which containers often are.
  const args = [...QUIET, ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
  return chromium.launch({ executablePath, args, ignoreDefaultArgs: keepsPages ? ["--disable-back-forward-cache"] : [] });
}
