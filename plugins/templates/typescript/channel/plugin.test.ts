import assert from 'node:assert/strict';
import { test } from 'node:test';

import { handler } from './plugin.ts';
import { context } from './sdk/testing.js';

test('a message is answered', () => {
  const { reply } = handler.handle(context('{{channel}}'), '{}');
  assert.equal(reply, '{}');
});
