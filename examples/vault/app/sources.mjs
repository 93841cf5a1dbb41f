// The sources of a vault. Each change and the event that tells of it are one transaction: what is rolled back was never
// published, and what is committed reaches everybody who is in the vault.

import { transaction } from "./database.mjs";
import { Refused } from "./refused.mjs";

const WRITERS = ["owner", "contributor"];
const COLUMNS = "id, title, url, version, updated_at";

async function memberOf(client, vaultId, user) {
  const { rows } = await client.query("select role from members where vault_id = $1 and user_id = $2", [vaultId, user.id]);
  if (rows.length === 0) throw new Refused(403, "forbidden");
  return { id: String(user.id), name: user.name, role: rows[0].role };
}

const shown = ({ id, title, url, version }) => ({ id, title, url, version });

/** The vault's title, the user's role in it, and its sources, the newest first. */
export async function read(pool, vaultId, user) {
  const { role } = await memberOf(pool, vaultId, user);
  const vault = await pool.query("select title from vaults where id = $1", [vaultId]);
  const { rows } = await pool.query(`select ${COLUMNS} from sources where vault_id = $1 order by updated_at desc, id`, [vaultId]);
  return { title: vault.rows[0].title, role, sources: rows.map(shown) };
}

// `statement` changes one source of the vault and returns its columns.
async function change(pool, { vaultId, user, kind, statement, values }) {
  return transaction(pool, async (client) => {
    const actor = await memberOf(client, vaultId, user);
    if (!WRITERS.includes(actor.role)) throw new Refused(403, "forbidden");
    const { rows: [source] } = await client.query(statement, values);
    if (!source) throw new Refused(404, "unknown_source");
    const isGone = kind === "deleted";
    const event = { kind, source: isGone ? { id: source.id } : shown(source), actor, at: new Date().toISOString() };
    // After the change, while the row is locked: so the events of a source have the order of its changes.
    const published = [`vault.source.${kind}`, { vaultId, change: event }, source.id];
    await client.query("select tidegate_publish($1, $2, key => $3)", published);
    return isGone ? { id: source.id } : shown(source);
  });
}

export const create = (pool, vaultId, user, { title, url }) =>
  change(pool, {
    vaultId, user, kind: "created", values: [vaultId, title, url],
    statement: `insert into sources (vault_id, title, url) values ($1, $2, $3) returning ${COLUMNS}`,
  });

export const update = (pool, vaultId, user, id, { title, url }) =>
  change(pool, {
    vaultId, user, kind: "updated", values: [vaultId, id, title, url],
    statement: `update sources set title = $3, url = $4, version = version + 1, updated_at = now()
                where vault_id = $1 and id = $2 returning ${COLUMNS}`,
  });

export const remove = (pool, vaultId, user, id) =>
  change(pool, {
    vaultId, user, kind: "deleted", values: [vaultId, id],
    statement: `delete from sources where vault_id = $1 and id = $2 returning ${COLUMNS}`,
  });

/** What a client may write: as the channel's schema has it, so that every committed change can be published. */
export function judged({ title, url }) {
  const isTitle = typeof title === "string" && title.trim() !== "" && title.length <= 200;
  const isUrl = typeof url === "string" && url.length <= 2000 && /^https?:/.test(url) && URL.canParse(url) && new URL(url).href === url;
  if (!isTitle || !isUrl) throw new Refused(400, isTitle ? "invalid_url" : "invalid_title");
  return { title, url };
}
