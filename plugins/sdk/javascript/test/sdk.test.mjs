// The SDK under Node, with `testing.js` in the server's place.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HostError, allow, authorizer, bucket, cannotTell, connection, drop, emit, publish, query, remove, request, secret, snapshot, transform } from '../index.js';
import { clearBuckets, context, crossing, peer, setHttp, setQuery, setSecret } from '../testing.js';

const code = (call) => {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof HostError, String(error));
    return error.code;
  }
  return undefined;
};

test('a snapshot is payloads as JSON, and nothing else', () => {
  const { provide } = snapshot((context) => [{ n: 1 }, context.topic]);
  assert.deepEqual(provide(context('a')), ['{"n":1}', '"a"']);
  assert.throws(() => snapshot(() => ({})).provide(context('a')), /^TypeError: answer a list of payloads$/);
  assert.throws(() => snapshot(() => [undefined]).provide(context('a')), /^TypeError: undefined has no JSON$/);
  assert.throws(() => snapshot(async () => []).provide(context('a')), /must not be async/);
});

test('a transform publishes, drops, or says why not', () => {
  const { apply } = transform(({ event, topic }, payload) => (payload === 0 ? drop : [topic, event.data, payload]));
  assert.equal(apply(crossing('orders', 7, { data: { a: 1 } })), '["orders",{"a":1},7]');
  assert.equal(apply(crossing('orders', 0)), undefined);
  assert.equal(transform(() => null).apply(crossing('orders', 1)), 'null');
  assert.throws(() => transform(() => {}).apply(crossing('orders', 1)), /^TypeError: undefined has no JSON$/);
});

test('a number that JavaScript cannot hold is refused, and is no mistake of the plugin', () => {
  const { apply } = transform((_, payload) => payload);
  const given = (payload) => ({ ...crossing('orders', null), payload });
  for (const number of ['9007199254740993', '-12345678901234567890', '[123456789012345678901234567890]']) {
    assert.throws(() => apply(given(number)), { tag: 'invalid-payload', message: /is larger than JavaScript holds exactly/ });
  }
  for (const number of ['9007199254740992', '100000000000000000000', '0.12345678901234567890', '"12345678901234567890\\""', '1e300']) {
    assert.ok(apply(given(number)));
  }
  assert.throws(() => transform(() => ({ a: [1, -Infinity] })).apply(crossing('orders', 1)), /^TypeError: `1`: -Infinity has no JSON$/);
  assert.equal(transform(() => ({ a: null })).apply(crossing('orders', 1)), '{"a":null}');
});

test('an authorizer that is not answered by the host cannot tell, and one that fails in another way has not decided', () => {
  const of = (error) => authorizer(() => { throw error; }).authorize(context('a'), 'subscribe');
  for (const code of ['timeout', 'rate-limited', 'unavailable']) {
    assert.deepEqual(of(new HostError(code, 'late')), { tag: 'cannot-tell', val: 'HostError: late' });
  }
  assert.throws(() => of(new HostError('denied', 'no grant')), /^HostError: no grant$/);
  assert.throws(() => of(new Error('a mistake')), /^Error: a mistake$/);
  const decided = (decision) => authorizer(() => decision).authorize(context('a'), 'subscribe');
  assert.deepEqual(decided(cannotTell('away')), { tag: 'cannot-tell', val: 'away' });
  assert.throws(() => decided(true), /answer allow\(\), deny\(\) or cannotTell\(\)/);
});

test('a connection listener answers effects, or nothing', () => {
  const told = (peer, phase) => [emit('lobby', [peer.user.id, phase])];
  const [{ val }] = connection(told).changed(peer({ user: { id: 'u1', roles: [] }, receivedAtMs: 1n }), 'connected');
  assert.equal(val.payload, '["u1","connected"]');
  assert.deepEqual(connection(() => {}).changed(peer(), 'disconnected'), []);
});

test('a secret is what the test set, and no other', () => {
  setSecret('API_TOKEN', 's3cret');
  assert.equal(secret('API_TOKEN'), 's3cret');
  assert.equal(code(() => secret('OTHER')), 'denied');
});

test('a bucket keeps text and bytes, with revisions and conditions', () => {
  clearBuckets();
  const seen = bucket('seen');
  assert.equal(seen.get('a'), undefined);
  const first = seen.put('a', 'grüß dich 🦊 %');
  assert.equal(seen.get('a').text(), 'grüß dich 🦊 %');
  assert.equal(seen.get('a').revision, first);
  const second = seen.put('a', new Uint8Array([0, 255]), { ifRevision: first });
  assert.deepEqual([...seen.get('a').value], [0, 255]);
  assert.equal(code(() => seen.put('a', 'x', { ifRevision: first })), 'conflict');
  assert.equal(code(() => seen.put('a', 'x', { ifRevision: 0 })), 'conflict');
  assert.throws(() => seen.put('a', 'x', { ifRevision: 0 }), { revision: second });
  assert.equal(seen.increment('n'), 1);
  assert.equal(seen.increment('n', -5), -4);
  seen.put('t', 'text');
  assert.equal(code(() => seen.increment('t')), 'not-an-integer');
  assert.deepEqual(seen.keys(), ['a', 'n', 't']);
  assert.deepEqual(seen.keys('', { after: 'a', limit: 1 }), ['n']);
  assert.equal(seen.delete('a'), true);
  assert.equal(seen.delete('a'), false);
});

test('what is of another type than the contract is a mistake, and no trap', () => {
  assert.throws(() => bucket('seen').put('a', 'x', { ttlMs: 0.5 }), /`ttlMs`: 0.5 is no whole number from 0 on/);
  assert.throws(() => bucket('seen').increment('a', '1'), /`delta`: 1 is no whole number/);
  assert.throws(() => bucket('seen').get(7), /`key`: expected a text, found number/);
  assert.throws(() => secret(), /`name`: expected a text, found undefined/);
  assert.throws(() => emit('a', 1, 'all'), /`to`: expected everyone or others, found all/);
  assert.throws(() => emit(undefined, 1), /`topic`: expected a text/);
  assert.throws(() => publish(null, 1), /`kind`: expected a text, found null/);
  assert.throws(() => allow(-1), /no whole number of milliseconds/);
  assert.throws(() => connection(() => ['emit']).changed(peer(), 'connected'), /what emit\(\), publish\(\), remove\(\) and removeAll\(\) make/);
  assert.throws(() => remove(7, 1), /`topic`: expected a text/);
});

test('a query answers its rows', () => {
  setQuery('member', ([vault, user]) => [{ vault, user }]);
  assert.deepEqual(query('member', 'v1', 7), [{ vault: 'v1', user: 7 }]);
  assert.equal(code(() => query('other')), 'denied');
});

test('a request reads its response', () => {
  setHttp(({ method, url, headers, body }) => ({
    status: 201, headers: [['x-seen', 'yes']], body: JSON.stringify([method, url, headers, new TextDecoder().decode(body)]),
  }));
  const response = request({ url: 'https://a.example', method: 'POST', headers: { accept: '*/*' }, body: 'é' });
  assert.deepEqual([response.status, response.header('X-Seen')], [201, 'yes']);
  assert.deepEqual(response.json(), ['POST', 'https://a.example', [['accept', '*/*']], 'é']);
});
