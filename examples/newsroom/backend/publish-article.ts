// The use case: an article is written to the store, and then everybody who should know is told.

import { type BusEvent, type Publisher, TidegateError, topic } from "@tidegate/publisher";

import type { Article, Channels } from "./channels.js";

export interface Draft {
  title: string;
  section: Article["section"];
  author: string;
}

/** What the use case needs of a store. */
export interface Articles {
  insert(draft: Draft): Promise<Article>;
  /** Articles of which not everybody has been told yet, the oldest first. */
  unannounced(): Promise<Article[]>;
  markAnnounced(id: string): Promise<void>;
}

export interface Parts {
  articles: Articles;
  tidegate: Publisher<Channels>;
}

/** `announced: false`: it is stored, Tidegate is away, and `announceWaiting` tells later. */
export async function publishArticle({ articles, tidegate }: Parts, draft: Draft): Promise<{ article: Article; announced: boolean }> {
  const article = await articles.insert(draft);
  try {
    await announce({ articles, tidegate }, article);
    return { article, announced: true };
  } catch (error) {
    if (error instanceof TidegateError && error.retry) return { article, announced: false };
    throw error;
  }
}

/** Tells of every article that nobody was told of yet. */
export async function announceWaiting({ articles, tidegate }: Parts): Promise<void> {
  for (const article of await articles.unannounced()) await announce({ articles, tidegate }, article);
}

// May run twice for an article: the keys and the event's id are of the article, so nobody is told twice.
async function announce({ articles, tidegate }: Parts, article: Article): Promise<void> {
  const idempotencyKey = `article-${article.id}`;
  await tidegate.publish("blog.article.feed", article, { idempotencyKey });
  const published: BusEvent = { type: "article.published", id: idempotencyKey, subject: article.id, data: article };
  await tidegate.events(published);
  await tidegate.publish(
    topic("notifications.user.{userId}", { userId: article.author }),
    { kind: "published", text: `“${article.title}” is live`, articleId: article.id },
    { idempotencyKey },
  );
  await articles.markAnnounced(article.id);
}
