/** Why a sequence ended, in vLLM's words. */
export type FinishReason = 'stop' | 'length' | 'abort'

/** One output token, and whether the model stops after it. */
export interface OutputToken {
  readonly token: number
  readonly stop: boolean
}

/** One sequence to generate. Times are virtual milliseconds of the caller's clock. */
export interface SimRequest {
  readonly id: string
  /** At least one token; the core copies it. */
  readonly promptTokens: ArrayLike<number>
  /** At least 1. The core also ends a sequence at `maxModelLen`. */
  readonly maxTokens: number
  readonly adapter?: string | undefined
  readonly cacheSalt?: string | undefined
  /** The model: asked once for each output index, in order. Must be deterministic. */
  readonly next: (index: number) => OutputToken
}

export type SubmitResult =
  | { readonly kind: 'queued' }
  | {
      readonly kind: 'rejected'
      readonly reason: 'queue_full' | 'prompt_too_long' | 'prompt_empty' | 'id_in_use'
    }

export type SimEvent =
  | {
      readonly kind: 'admitted'
      readonly id: string
      readonly atMs: number
      readonly arrivedAtMs: number
      readonly promptTokens: number
      /** Tokens found in the prefix cache: whole blocks from the start, never all of the sequence. */
      readonly cachedTokens: number
      /** True when it comes back after a preemption. */
      readonly resumed: boolean
    }
  | {
      readonly kind: 'token'
      readonly id: string
      readonly atMs: number
      readonly index: number
      readonly token: number
      /** Set on the last token; a `finished` event follows. */
      readonly finish: FinishReason | undefined
    }
  | { readonly kind: 'preempted'; readonly id: string; readonly atMs: number }
  | SimFinished
  | SimStepped

/** The account of a sequence that ended. */
export interface SimFinished {
  readonly kind: 'finished'
  readonly id: string
  readonly reason: FinishReason
  readonly promptTokens: number
  readonly outputTokens: number
  /** Prompt tokens found in the prefix cache at the first admission. */
  readonly cachedTokens: number
  readonly preemptions: number
  readonly arrivedAtMs: number
  readonly admittedAtMs: number | undefined
  readonly firstTokenAtMs: number | undefined
  readonly finishedAtMs: number
}

/** One engine step ended. */
export interface SimStepped {
  readonly kind: 'stepped'
  readonly atMs: number
  readonly durationMs: number
  readonly prefillTokens: number
  /** Of `prefillTokens`, those computed before and lost to a preemption. */
  readonly recomputedTokens: number
  readonly outputTokens: number
}

export interface SimStats {
  readonly running: number
  readonly waiting: number
  /** Of `waiting`, those that wait only for a place among the adapters of a batch. */
  readonly waitingForAdapter: number
  /** Share of KV blocks held by sequences, 0 to 1. Cached but unheld blocks do not count. */
  readonly kvUsage: number
  readonly runningAdapters: readonly string[]
  readonly waitingAdapters: readonly string[]
}
