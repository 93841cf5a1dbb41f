/** The history of topics over HTTP, and the polling of it while no socket can be had. */
import type { Answer, Topic } from "./topic.js";
import type { History, Position, TidegateError } from "./wire.js";
export interface HistoryOptions {
    since?: Position;
    limit?: number;
}
/** The address of the HTTP side, and how a request shows who asks. */
export interface Way {
    base: string;
    credentials: RequestCredentials;
    token(): Promise<string | undefined>;
}
export declare function readHistory(way: Way, topic: string, { since, limit }: HistoryOptions): Promise<Answer<{
    ok: true;
} & History>>;
export declare class Polling {
    #private;
    readonly way: Way;
    readonly waits_ms: number[];
    readonly topics: Map<string, Topic>;
    readonly refused: (topic: Topic, error: TidegateError) => boolean;
    readonly changed: () => void;
    /** Whether the last round was answered; nothing while there is no polling. */
    isAnswered: boolean | undefined;
    constructor(way: Way, waits_ms: number[], topics: Map<string, Topic>, refused: (topic: Topic, error: TidegateError) => boolean, changed: () => void);
    /** Begins, or looks at once where it is waiting. */
    start(): void;
    stop(): void;
}
