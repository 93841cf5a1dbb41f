// Made by `tidegate types --lang ts` from the schemas of the channels. Change those: what is changed here is lost.

/** What subscribers of `shop.any` receive. */
export type ShopAnyPayload = unknown;

/** What subscribers of `shop.lists` receive. */
export interface ShopListsPayload {
  point: [number, number];
  path: (number | null)[];
  open: [string, number?, ...unknown[]];
}

/**
 * What becomes of an order.
 * Every change is one event. * /
 * What subscribers of `shop.order.{orderId}` receive.
 */
export type ShopOrderOrderIdPayload = OrderEvent;

/** One of the things that happen to an order. */
export type OrderEvent = OrderEventPaid | OrderEventShipped | OrderEventNote;

export interface OrderEventPaid {
  kind: OrderEventPaidKind;
  cents: number;
  by?: Person;
}

export type OrderEventPaidKind = "paid";

/** Somebody. */
export interface Person {
  id: string;
  friends?: Person[];
  nick?: string | null;
}

export interface OrderEventShipped {
  kind: OrderEventShippedKind;
  items: OrderEventItem[];
  carrier?: OrderEventShippedCarrier | null;
}

export type OrderEventShippedKind = "shipped";

export interface OrderEventItem {
  id: string;
  /** `unknown` is one of some values that are no scalars: TypeScript cannot say it. */
  size?: unknown;
  count: number;
}

export type OrderEventShippedCarrier = "post" | "2-day";

export type OrderEventNote = string;

/** What clients may send on `shop.order.{orderId}`. */
export type ShopOrderOrderIdInbound = ShopOrderOrderIdPayload;

/** What subscribers of `shop.prices` receive. */
export type ShopPricesPayload = { [key: string]: ShopPricesPayloadValue };

export interface ShopPricesPayloadValue {
  cents: number;
}

/** What subscribers of `shop.tree` receive. */
export type ShopTreePayload = ShopTreePayloadNode;

export interface ShopTreePayloadNode {
  name: string;
  left?: ShopTreePayloadNode;
  children?: ShopTreePayloadNode[];
}

/** What clients may send on `shop.tree`. */
export type ShopTreeInbound = Nested;

export type Nested = number | Nested[];

/** What subscribers of `shop.words` receive. */
export interface ShopWordsPayload {
  class: string;
  for: number;
  type: ShopWordsPayloadType;
  "2nd": number;
  /** A dash. */
  "a-b": boolean;
  "Ü": null;
  __private: ShopWordsPayloadPrivate | null;
  /** Format: date-time. */
  publishedAt?: string;
  self?: ShopWordsPayloadSelf;
  /** Other keys hold number. */
  [key: string]: number | string | ShopWordsPayloadType | boolean | null | ShopWordsPayloadPrivate | null | undefined | ShopWordsPayloadSelf;
}

export type ShopWordsPayloadType = "words";

export type ShopWordsPayloadPrivate = string | number;

export type ShopWordsPayloadSelf = 1 | 2;

/** Every channel by its name: what subscribers receive, and what clients may send. */
export interface Channels {
  "shop.any": { payload: ShopAnyPayload };
  "shop.lists": { payload: ShopListsPayload };
  "shop.order.{orderId}": { payload: ShopOrderOrderIdPayload; inbound: ShopOrderOrderIdInbound };
  "shop.prices": { payload: ShopPricesPayload };
  "shop.tree": { payload: ShopTreePayload; inbound: ShopTreeInbound };
  "shop.words": { payload: ShopWordsPayload };
}
