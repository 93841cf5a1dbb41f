import assert from 'node:assert/strict';
import { test } from 'node:test';

import { handler } from './plugin.ts';
import { context, setConfig } from './sdk/testing.js';

test('a name is greeted', () => {
  setConfig('greeting', 'ahoy');
  const { reply } = handler.handle(context('greetings'), JSON.stringify({ name: 'Ada' }));
  assert.equal(reply, '{"text":"ahoy, Ada"}');
});

test('a message without a name is refused', () => {
  assert.throws(() => handler.handle(context('greetings'), '{}'), { tag: 'invalid-payload' });
});
