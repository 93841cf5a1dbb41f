// Who may follow an event, where its cars are and what race control said so far, all asked of the application's own tables;
// and how old the positions are that pages see.
import {
  type Authorizer, type Handler, type Snapshot, allow, authorizer as decides, deny, handler as answers, log, param, query,
  snapshot as gives,
} from '../../../../../plugins/sdk/javascript/index.js';

interface Position { deviceId: string; at: number; lat: number; lon: number; speed: number; heading: number }
interface Notice { n: number; flag: string; text: string }
interface Report { positions: number; p50_ms: number; p99_ms: number }

// A database that is away or slow throws: the client hears `unavailable`, and who follows already goes on.
export const authorizer: Authorizer = decides((context) => {
  const organisation = context.user?.tenant;
  if (organisation === undefined) return deny('of no organisation');
  const [event] = query('event_of_organisation', param(context, 'eventId'), organisation);
  return event === undefined ? deny(`not an event of ${organisation}`) : allow();
});

export const snapshot: Snapshot = gives<Notice | Position>((context) => {
  const event = param(context, 'eventId');
  if (context.channel.endsWith('.control')) return query<Notice>('notices', event).reverse();
  return query<Position>('newest_positions', event);
});

export const handler: Handler = answers<Report>((context, { positions, p50_ms, p99_ms }) => {
  log.info(`${context.topic}: ${positions} positions, p50 ${p50_ms} ms, p99 ${p99_ms} ms old`);
  return {};
});
