// The use case without any server: the recording publisher judges by the manifests in ../channels.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { recordingPublisher } from "@tidegate/publisher/recording";

import type { Article, Channels } from "./channels.js";
import { announceWaiting, type Articles, type Draft, publishArticle } from "./publish-article.js";

const channels = fileURLToPath(new URL("../../channels", import.meta.url));
const DRAFT: Draft = { title: "Neap tides", section: "culture", author: "ada" };
const ARTICLE: Article = { ...DRAFT, id: "1", publishedAt: "2026-11-30T12:00:00.000Z" };

const recording = () => recordingPublisher<Channels>({ channels, source: "/newsroom" });

class InMemory implements Articles {
  waiting: Article[] = [];

  async insert(draft: Draft): Promise<Article> {
    const article = { ...ARTICLE, ...draft };
    this.waiting.push(article);
    return article;
  }
  async unannounced(): Promise<Article[]> {
    return [...this.waiting];
  }
  async markAnnounced(id: string): Promise<void> {
    this.waiting = this.waiting.filter((article) => article.id !== id);
  }
}

test("an article goes to the feed and to the bus, and its author hears that it is live", async () => {
  const [articles, tidegate] = [new InMemory(), recording()];
  assert.deepEqual(await publishArticle({ articles, tidegate }, DRAFT), { article: ARTICLE, announced: true });
  assert.deepEqual(tidegate.publications.map(({ topic, payload }) => [topic, payload]), [
    ["blog.article.feed", ARTICLE],
    ["notifications.user.ada", { kind: "published", text: "“Neap tides” is live", articleId: "1" }],
  ]);
  assert.deepEqual(tidegate.busEvents.map(({ type, id, data }) => [type, id, data]), [["article.published", "article-1", ARTICLE]]);
  assert.deepEqual(articles.waiting, []);
});

test("while Tidegate is away the article is stored, and told of later, once", async () => {
  const [articles, tidegate] = [new InMemory(), recording()];
  tidegate.fail("unreachable");
  assert.equal((await publishArticle({ articles, tidegate }, DRAFT)).announced, false);
  // It comes back, and goes away again before the notification.
  await tidegate.publish("blog.article.feed", ARTICLE, { idempotencyKey: "article-1" });
  await announceWaiting({ articles, tidegate });
  assert.deepEqual(tidegate.publications.map(({ topic }) => topic), ["blog.article.feed", "notifications.user.ada"]);
  assert.deepEqual(articles.waiting, []);
});

test("an article that the channel does not take fails here, and not in production", async () => {
  const title = "x".repeat(201);
  const wrong = publishArticle({ articles: new InMemory(), tidegate: recording() }, { ...DRAFT, title });
  await assert.rejects(wrong, { code: "invalid_payload", violations: [{ path: "/title", message: "must NOT have more than 200 characters" }] });
});

test("a wrong payload, or the topic of no channel, does not compile", async () => {
  const tidegate = recording();
  // @ts-expect-error no `publishedAt`
  await assert.rejects(tidegate.publish("blog.article.feed", { ...DRAFT, id: "1" }));
  // @ts-expect-error no such section
  await assert.rejects(tidegate.publish("blog.section.sports", { ...ARTICLE, section: "weather" }));
  // @ts-expect-error no such channel
  await assert.rejects(tidegate.publish("blog.articles.feed", ARTICLE));
});
