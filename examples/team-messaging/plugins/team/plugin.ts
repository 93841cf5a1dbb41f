// Who belongs to an area may read its topic; its supervisors may write there. The application stores what they write.
import {
  type Authorizer, type Handler, Refusal, allow, authorizer as decides, config, deny, handler as answers, log, param, query, request, secret,
} from '../../../../plugins/sdk/javascript/index.js';

// How long a changed area or role may go unnoticed.
const GRANT_TTL_MS = 30_000;

export const authorizer: Authorizer = decides((context, action) => {
  const [place] = query<{ role: string }>('role', context.user?.id, param(context, 'areaId'));
  if (!place) return refuse('not of this area');
  if (action === 'send' && place.role !== 'supervisor') return refuse('only supervisors write');
  return allow(GRANT_TTL_MS);

  // Tidegate logs who was refused on which channel; this line says on which topic.
  function refuse(why: string) {
    log.warn(why, { user: context.user?.id ?? '', topic: context.topic, action });
    return deny(why);
  }
});

interface Answer { number?: number; error?: { message: string } }

// The message is published when the application's transaction has committed: by its outbox, not from here.
export const handler: Handler = answers((context, draft: object) => {
  const response = request({
    method: 'POST',
    url: `${config('application')}/internal/messages`,
    headers: { authorization: `Bearer ${secret('TEAM_PLUGIN_KEY')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...draft, area: param(context, 'areaId'), author: context.user?.id }),
  });
  if (response.status === 503) throw Refusal.unavailable('the application cannot store it');
  const answer: Answer = response.json();
  if (response.status === 201) return { reply: { number: answer.number } };
  const sentence = answer.error?.message ?? `the application answers ${response.status}`;
  if (response.status === 403) throw Refusal.forbidden(sentence);
  if (response.status === 422) throw Refusal.invalidPayload(sentence);
  throw Refusal.failed(sentence);
});
