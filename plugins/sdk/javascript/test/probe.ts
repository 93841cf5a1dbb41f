// A plugin of both kinds that does what a message asks, for the tests in `tests/e2e`.
import {
  type Authorizer, type Handler, Refusal, allow, authorizer as decides, clock, config, deny, emit, handler as answers, log,
  param, publish, random,
} from '../index.js';

interface Probe {
  n?: number;
  refuse?: 'invalidPayload' | 'forbidden' | 'unavailable' | 'failed';
  ask?: 'bug' | 'context' | 'clock' | 'random' | 'loop' | 'hog';
}

export const handler: Handler = answers<Probe>((context, { n, refuse, ask }) => {
  if (refuse) throw Refusal[refuse]('as asked');
  switch (ask) {
    case 'bug': return (undefined as any).nope;
    case 'context': return { reply: context };
    case 'clock': return { reply: { now: clock.nowMs(), ticks: [clock.monotonicUs(), clock.monotonicUs()] } };
    case 'random': return { reply: { bytes: [...random.bytes(16)], u64: random.u64().toString() } };
    case 'loop': for (;;);
    case 'hog': for (const all: Uint8Array[] = []; ;) all.push(new Uint8Array(1 << 20).fill(1));
  }
  log.info('ping', { n: n ?? 0, user: context.user?.id ?? 'anonymous' });
  return {
    reply: { pong: n, greeting: config('greeting') },
    effects: [emit(context.topic, { pong: n }), publish('ping.seen', { n })],
  };
});

export const authorizer: Authorizer = decides<Probe>((context, action, message) => {
  const user = context.user?.id;
  if (!user) return deny('members only');
  if (action === 'send' && message?.n === 13) return deny('not that number');
  const members = config<Record<string, string[]>>('members')?.[param(context, 'room') ?? ''];
  return members?.includes(user) ? allow() : deny(`\`${user}\` is no member`);
});
