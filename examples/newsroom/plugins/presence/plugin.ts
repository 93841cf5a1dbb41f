// Who views which article. A view is a key for each article and connection, so a user with two tabs is one viewer until
// the last of them is gone.
import {
  type Connection, type Effect, type Handler, bucket, connection as listens, emit, handler as answers, param,
} from '../../../../plugins/sdk/javascript/index.js';
import type { PresenceArticleArticleIdInbound, PresenceViewersPayload } from './types.ts';

const views = bucket('views');

// A page says it again more often than this. A view ends by itself where nobody could tell that its page is gone.
const VIEW_TTL_MS = 60_000;

// A segment of a topic holds no dot, so one article is no beginning of another.
const byArticle = (articleId: string, connectionId: string) => `article.${articleId}.${connectionId}`;
const byConnection = (connectionId: string, articleId: string) => `connection.${connectionId}.${articleId}`;

export const handler: Handler = answers<PresenceArticleArticleIdInbound>((context, { viewing }) => {
  // An anonymous visitor leaves no trace.
  if (!context.user) return;
  const articleId = param(context, 'articleId')!;
  if (viewing) {
    views.put(byArticle(articleId, context.connectionId), context.user.id, { ttlMs: VIEW_TTL_MS });
    views.put(byConnection(context.connectionId, articleId), '', { ttlMs: VIEW_TTL_MS });
  } else {
    forget(articleId, context.connectionId);
  }
  return { effects: [viewersOf(articleId)] };
});

export const connection: Connection = listens((peer, phase) => {
  if (phase === 'connected' || !peer.user) return;
  const held = views.keys(byConnection(peer.connectionId, ''));
  return held.map((key) => {
    const articleId = key.slice(byConnection(peer.connectionId, '').length);
    forget(articleId, peer.connectionId);
    return viewersOf(articleId);
  });
});

function forget(articleId: string, connectionId: string): void {
  views.delete(byArticle(articleId, connectionId));
  views.delete(byConnection(connectionId, articleId));
}

// The version is taken between the change and the list: the list of the highest version has every change before it.
function viewersOf(articleId: string): Effect {
  const version = views.increment('version');
  const users = views.keys(byArticle(articleId, '')).map((key) => views.get(key)?.text() ?? '');
  const viewers: PresenceViewersPayload = { articleId, version, viewers: [...new Set(users)].filter(Boolean).sort() };
  return emit('presence.viewers', viewers);
}
