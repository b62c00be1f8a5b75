import type { StepLoad } from './step-time.ts'

export interface SimCoreOptions {
  /** Part of every block hash: two models never share a prefix. */
  readonly model: string
  readonly numBlocks: number
  /** Tokens of one block. */
  readonly blockSize: number
  readonly maxNumSeqs: number
  /** Tokens computed in one step, at least `maxNumSeqs`. */
  readonly maxNumBatchedTokens: number
  /** Prompt and output together; at most what all blocks hold, so that any one sequence can finish alone. */
  readonly maxModelLen: number
  /** Sequences inside, waiting and running together. */
  readonly maxQueuedRequests: number
  /** Different adapters in one batch. */
  readonly maxAdapters: number
  readonly prefixCaching: boolean
  /** Duration of a step at speed 1. */
  readonly stepMs: (load: StepLoad) => number
  readonly speed: number
  /** Relative standard deviation of a step's duration, 0 for none. Samples stay within ±70 %. */
  readonly jitter: number
  readonly seed: number
}
