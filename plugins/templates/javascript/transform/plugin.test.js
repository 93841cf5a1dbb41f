import assert from 'node:assert/strict';
import { test } from 'node:test';

import { transform } from './plugin.js';
import { crossing, setConfig } from './sdk/testing.js';

test('a name is greeted and none is dropped', () => {
  setConfig('greeting', 'ahoy');
  assert.equal(transform.apply(crossing('greetings', { name: 'Ada' })), '{"text":"ahoy, Ada"}');
  assert.equal(transform.apply(crossing('greetings', {})), undefined);
});
