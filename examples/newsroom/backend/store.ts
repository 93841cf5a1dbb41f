// The articles in PostgreSQL.

import pg from "pg";

import type { Article } from "./channels.js";
import type { Articles, Draft } from "./publish-article.js";

// A database that is frozen must not hold a request for ever.
const TIMEOUT_MS = 3_000;

const SCHEMA = `
  create table if not exists articles (
    id bigint generated always as identity primary key,
    title text not null,
    section text not null check (section in ('culture', 'sports')),
    author text not null,
    published_at timestamptz not null default now(),
    announced boolean not null default false
  )`;

interface Row {
  id: string;
  title: string;
  section: Article["section"];
  author: string;
  published_at: Date;
}

const toArticle = ({ id, title, section, author, published_at }: Row): Article =>
  ({ id, title, section, author, publishedAt: published_at.toISOString() });

export class Store implements Articles {
  #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({ connectionString: url, max: 8, connectionTimeoutMillis: TIMEOUT_MS, query_timeout: TIMEOUT_MS });
    // An idle connection that broke; the next request takes a new one.
    this.#pool.on("error", (error) => console.error(`store: ${error.message}`));
  }

  async prepare(): Promise<void> {
    await this.#pool.query(SCHEMA);
  }

  async insert({ title, section, author }: Draft): Promise<Article> {
    const [article] = await this.#articles("insert into articles (title, section, author) values ($1, $2, $3) returning *", [title, section, author]);
    return article!;
  }

  newest(): Promise<Article[]> {
    return this.#articles("select * from articles order by id desc limit 50");
  }

  unannounced(): Promise<Article[]> {
    return this.#articles("select * from articles where not announced order by id limit 100");
  }

  async markAnnounced(id: string): Promise<void> {
    await this.#pool.query("update articles set announced = true where id = $1", [id]);
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #articles(sql: string, values: unknown[] = []): Promise<Article[]> {
    return (await this.#pool.query<Row>(sql, values)).rows.map(toArticle);
  }
}
