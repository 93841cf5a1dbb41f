import assert from 'node:assert/strict';
import { test } from 'node:test';

import { connection } from './plugin.ts';
import { peer } from './sdk/testing.js';

test('coming and going are two events', () => {
  const events = (['connected', 'disconnected'] as const).map((phase) => connection.changed(peer(), phase));
  assert.match(JSON.stringify(events[0]), /visitor\.came/);
  assert.match(JSON.stringify(events[1]), /visitor\.went/);
});
