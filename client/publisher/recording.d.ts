import type { AnyChannels, Code, Publisher } from "./index.js";

/** A publication as the subscribers would have received it: the payload is what JSON makes of what was published. */
export interface RecordedPublication {
  topic: string;
  /** The channel's name, `vault.{vaultId}`. */
  channel: string;
  payload: unknown;
  idempotencyKey: string;
}

export interface RecordingPublisher<Channels = AnyChannels> extends Publisher<Channels> {
  /** What was published, in order. */
  readonly publications: RecordedPublication[];
  /** The CloudEvents that were put on the bus, in order. */
  readonly busEvents: Record<string, unknown>[];
  /** What was taken back, in order, as it goes over the wire. */
  readonly revocations: Record<string, unknown>[];
  /** Refuses the next requests (one, if `times` is left out) with this code. */
  fail(code: Code, times?: number): void;
}

export interface RecordingOptions {
  /** The directory of the channel manifests. Default: `channels`. */
  channels?: string;
  source?: string;
  /** How often a call is sent. Default: 1, so that a test does not wait. */
  attempts?: number;
  deadlineMs?: number;
}

/** A publisher that sends nothing. It judges topics and payloads by the manifests and keeps what it accepts. */
export function recordingPublisher<Channels = AnyChannels>(options?: RecordingOptions): RecordingPublisher<Channels>;
