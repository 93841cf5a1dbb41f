// Messages: stored with a number, and published in the same transaction. This table is what nobody loses; Tidegate brings
// it to the pages at once.

import { Refused } from "./database.mjs";

const PAGE = 200;
const FIRST_PAGE = 50;
const TEXT_LENGTH_MAX = 2000;

export class Messages {
  constructor(database) {
    this.database = database;
  }

  /** Stores a message of `author` in `area`, to all or to one. The same author and key give the first number again. */
  async post({ author, area, to, text, key }) {
    if (typeof text !== "string" || text === "" || text.length > TEXT_LENGTH_MAX) throw Refused.invalid("a text has 1 to 2000 characters");
    if (typeof key !== "string" || key.length < 8 || key.length > 64) throw Refused.invalid("a key has 8 to 64 characters");
    if (to !== undefined && typeof to !== "string") throw Refused.invalid("`to` is the id of a user");
    return await this.database.transaction(async (rows) => {
      const [writer] = await rows("select id, name from users where id = $1 and area = $2 and role = 'supervisor'", [author, area]);
      if (!writer) throw Refused.forbidden("only the area's supervisors write there");
      if (to !== undefined) {
        const [reader] = await rows("select 1 from users where id = $1 and area = $2 and role = 'enumerator'", [to, area]);
        if (!reader) throw Refused.forbidden("not an enumerator of your area");
      }
      // Held until the commit: the next writer of the area waits.
      const [{ last_number }] = await rows("select last_number from areas where id = $1 for update", [area]);
      const [known] = await rows("select number from messages where author = $1 and key = $2", [author, key]);
      if (known) return Number(known.number);
      const number = Number(last_number) + 1;
      await rows("update areas set last_number = $2 where id = $1", [area, number]);
      const [{ sent_at }] = await rows(
        "insert into messages (area, number, author, recipient, text, key) values ($1, $2, $3, $4, $5, $6) returning sent_at",
        [area, number, author, to, text, key],
      );
      await this.#publish(rows, { area, number, from: writer, to, text, sent_at });
      return number;
    });
  }

  async #publish(rows, message) {
    const events = message.to === undefined
      ? [["message.team", { message }]]
      : [message.to, message.from.id].map((inbox) => ["message.direct", { inbox, message }]);
    for (const [type, data] of events) {
      await rows("select team_outbox_publish($1, $2::jsonb, key => $3)", [type, JSON.stringify(data), message.area]);
    }
  }

  /**
   * The messages of a topic that `user` may read, oldest first: those after the number `after`, or the newest without it.
   * What Tidegate's history answers, for whom it cannot answer.
   */
  async read(user, topic, after) {
    if (after !== undefined && !Number.isSafeInteger(after)) throw Refused.invalid("`after` is a number of a message");
    const [kind, name] = topic.split(".");
    const isTeam = kind === "team" && name === user.area && user.role !== "office";
    const isInbox = kind === "inbox" && name === user.id;
    if (!isTeam && !isInbox) throw Refused.forbidden("not your topic");
    const mine = isTeam ? "m.area = $1 and m.recipient is null" : "m.recipient is not null and $1 in (m.recipient, m.author)";
    const limit = after === undefined ? FIRST_PAGE : PAGE;
    const found = await this.database.rows(
      `select m.area, m.number::int, json_build_object('id', u.id, 'name', u.name) as "from", m.recipient as "to", m.text, m.sent_at
       from messages m join users u on u.id = m.author
       where ${mine} and m.number > $2 order by m.number ${after === undefined ? "desc" : ""} limit ${limit}`,
      [name, after ?? 0],
    );
    const messages = found.map(({ to, ...message }) => (to === null ? message : { ...message, to }));
    return { messages: after === undefined ? messages.reverse() : messages, more: after !== undefined && found.length === limit };
  }

  /** The enumerators of an area, whom its supervisors may write to. */
  people = (area) => this.database.rows("select id, name from users where area = $1 and role = 'enumerator' order by name", [area]);
}
