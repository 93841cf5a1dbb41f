// Who may join a vault and who may send in it, asked of the application's own tables at every gate; and what a sender says,
// with the name and the role that the tables give, not with those that a page claims.
import {
  type Authorizer, type Context, type Handler, Refusal, allow, authorizer as decides, clock, deny, emit, handler as answers,
  param, query,
} from '../../../../../plugins/sdk/javascript/index.js';

interface Member { role: 'owner' | 'contributor' | 'viewer'; name: string }

// A database that is away or slow throws here: the client hears `unavailable`, and what is held stays.
function memberOf(context: Context): Member | undefined {
  if (context.user === undefined) return undefined;
  return query<Member>('member', param(context, 'vaultId'), context.user.id)[0];
}

export const authorizer: Authorizer = decides((context, action) => {
  const member = memberOf(context);
  if (member === undefined) return deny('no member');
  if (action === 'send' && member.role === 'viewer') return deny('a viewer sends nothing');
  return allow();
});

export const handler: Handler = answers<{ editing: string }>((context, message) => {
  const member = memberOf(context);
  if (member === undefined) throw Refusal.forbidden('no member any more');
  const actor = { id: context.user!.id, name: member.name, role: member.role };
  const at = new Date(clock.nowMs()).toISOString();
  return { effects: [emit(context.topic, { kind: 'editing', source: { id: message.editing }, actor, at }, 'others')] };
});
