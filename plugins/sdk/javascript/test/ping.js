// A plugin of both kinds, which the test builds into a component.
import { Refusal, allow, authorizer as decides, config, deny, emit, handler as answers, log, publish } from '../index.js';

export const handler = answers((context, payload) => {
  if (payload.refuse) throw Refusal[payload.refuse]('as asked');
  if (payload.bug) return context.nope.x;
  log.info('ping', { n: payload.n, user: context.user?.id ?? 'anonymous' });
  return {
    reply: { pong: payload.n, greeting: config('greeting') },
    effects: [emit('realtime-ping', { pong: payload.n }), publish('ping.seen', { n: payload.n })],
  };
});

export const authorizer = decides((context) => (context.user ? allow() : deny('members only')));
