/** A topic of the page: one subscription of the server for all its subscribers, and what is asked so that none misses anything. */
import type { Subscriber } from "./subscriber.js";
import type { History, Position, Presence, Publication, TidegateError, Told } from "./wire.js";
export type Answer<Ack> = Ack | {
    ok: false;
    error: TidegateError;
};
/** What a topic needs of the connection. */
export interface Link {
    isConnected(): boolean;
    ask<Ack>(event: string, body: object, answered: (answer: Answer<Ack>) => void): void;
    /** A topic is held: what waits for that may go. */
    held(): void;
    /** Forgets a topic. */
    forget(topic: Topic): void;
}
export declare class Topic {
    #private;
    readonly name: string;
    readonly link: Link;
    readonly subscribers: Set<Subscriber>;
    /** The server sends what is published. */
    isHeld: boolean;
    /** Its history can be read without a connection. */
    isPollable: boolean;
    presence: Presence | undefined;
    constructor(name: string, link: Link);
    join(subscriber: Subscriber): void;
    leave(subscriber: Subscriber): void;
    /** Asks for what the subscribers lack: first what those missed who have a position, then the beginning for the others. */
    ask(): void;
    lost(): void;
    told({ type, key, joined, left, count, reason }: Told): void;
    receive(publication: Publication): void;
    /** Where the next read of the history begins; nowhere while nobody has a position. */
    get since(): Position | undefined;
    read(history: History): void;
    /** It is over for everybody. */
    end(error: TidegateError): void;
}
