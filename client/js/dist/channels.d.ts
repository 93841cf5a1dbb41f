/** How topics find their types in what `tidegate types --lang ts` prints. Types only: nothing of this file runs. */
/** One channel in the generated `Channels`. */
export interface Channel {
    payload: unknown;
    inbound?: unknown;
}
/** For a page without generated types: every topic, any payload, unchecked. */
export interface AnyChannels {
    [channel: string]: {
        payload: any;
        inbound: any;
    };
}
type Names<C> = keyof C & string;
/** The topics of a template: `vault.{vaultId}` gives `vault.${string}`. */
type Topics<Template extends string> = Template extends `${infer Head}{${string}}${infer Tail}` ? `${Head}${string}${Topics<Tail>}` : Template;
type Segments<Text extends string> = Text extends `${infer Head}.${infer Tail}` ? [Head, ...Segments<Tail>] : [Text];
type IsOf<Template extends string, Topic extends string> = Template extends `{${string}}` ? true : string extends Topic ? false : Template extends Topic ? true : false;
type AreOf<Template extends string[], Topic extends string[]> = Template extends [infer T extends string, ...infer Ts extends string[]] ? Topic extends [infer S extends string, ...infer Ss extends string[]] ? IsOf<T, S> extends true ? AreOf<Ts, Ss> : false : false : Topic extends [] ? true : false;
/** The channel of a topic: the one with this very name, else the template with these segments; `never` where none is. */
export type ChannelOf<C, Topic extends string> = Topic extends keyof C ? Topic : {
    [Name in Names<C>]: AreOf<Segments<Name>, Segments<Topic>> extends true ? Name : never;
}[Names<C>];
/** What a page may subscribe to. */
export type TopicOf<C> = Topics<Names<C>>;
/** The channels that take messages of clients. */
type Sendable<C> = {
    [Name in keyof C as C[Name] extends {
        inbound: unknown;
    } ? Name : never]: C[Name];
};
/** What a page may send on. */
export type SendTopicOf<C> = Topics<Names<Sendable<C>>>;
/** `Topic`, unless no channel has it. */
export type Known<C, Topic extends string> = [ChannelOf<C, Topic>] extends [never] ? never : Topic;
type Of<C, Topic extends string, Key extends string> = ChannelOf<C, Topic> extends infer Name extends keyof C ? (C[Name] extends Record<Key, infer Value> ? Value : never) : never;
/** What subscribers of a topic receive. */
export type PayloadOf<C, Topic extends string> = Of<C, Topic, "payload">;
/** What clients may send on a topic. */
export type InboundOf<C, Topic extends string> = Of<C, Topic, "inbound">;
export {};
