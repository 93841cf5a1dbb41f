import assert from 'node:assert/strict';
import { test } from 'node:test';

import { authorizer } from './plugin.js';
import { context, setConfig } from './sdk/testing.js';

test('members are let in and nobody else', () => {
  setConfig('members', ['ada']);
  const decided = (id) => authorizer.authorize(context('greetings', { user: { id, roles: [] } }), 'subscribe').tag;
  assert.equal(decided('ada'), 'allow');
  assert.equal(decided('mallory'), 'deny');
});
