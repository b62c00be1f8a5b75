/** Bounds and deadlines of a gateway. All have defaults that suit engines which may think for minutes. */
export interface GatewaySettings {
  /** Longest wait for a replica that can take the request. A client may ask for less. */
  readonly queueMs: number
  /** The same for a model that was unloaded: enough for a load that has just been asked for. */
  readonly unloadedQueueMs: number
  /** Requests that may wait, over all models. */
  readonly maxQueued: number
  /** From the head of a request to the end of its body. */
  readonly receiveMs: number
  readonly connectMs: number
  /**
   * Of a stream, from the request sent to the first output; the engine's queue and prefill fall in it. An answer
   * in one piece comes when all is generated, so only `totalMs` bounds it.
   */
  readonly firstOutputMs: number
  /** Between two reads of an answer that has begun. */
  readonly interChunkMs: number
  /** A whole request, from its head to the last byte of the answer. */
  readonly totalMs: number
  /** A client that takes nothing of what waits for it. */
  readonly clientStallMs: number
  readonly maxBodyBytes: number
  /** All request bodies held at one time. */
  readonly maxHeldBodyBytes: number
  /** Requests in the gateway at one time. */
  readonly maxInFlight: number
  /** What is held back of a stream until its first output. */
  readonly maxHeldEvents: number
  readonly maxHeldBytes: number
  /** Answers up to this size are read whole before any of it goes out, so that their failure can still be retried. */
  readonly maxWholeAnswerBytes: number
  /** Idle connections kept for one address, and for how long. Below the 5 s at which uvicorn and llama-server hang up. */
  readonly maxIdlePerAddress: number
  readonly idleMs: number
  /** Credentials whose check is remembered. */
  readonly maxCachedKeys: number
  readonly cachedKeyMs: number
  /** Waiting time of one long poll for the view. */
  readonly viewWaitMs: number
}

export const DEFAULT_SETTINGS: GatewaySettings = {
  queueMs: 30_000,
  unloadedQueueMs: 1_000,
  maxQueued: 1_000,
  receiveMs: 120_000,
  connectMs: 3_000,
  firstOutputMs: 600_000,
  interChunkMs: 120_000,
  totalMs: 3_600_000,
  clientStallMs: 120_000,
  maxBodyBytes: 32 * 1024 * 1024,
  maxHeldBodyBytes: 512 * 1024 * 1024,
  maxInFlight: 10_000,
  maxHeldEvents: 64,
  maxHeldBytes: 256 * 1024,
  maxWholeAnswerBytes: 256 * 1024,
  maxIdlePerAddress: 256,
  idleMs: 4_000,
  maxCachedKeys: 10_000,
  cachedKeyMs: 60_000,
  viewWaitMs: 25_000,
}

/** `x-request-timeout-ms` may shorten every deadline to this at least. */
export const LEAST_TIMEOUT_MS = 100
