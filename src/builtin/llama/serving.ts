import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { ChatTemplate } from './chat-prompt.ts'
import type { Lanes } from './lanes.ts'
import type { Metrics } from './metrics.ts'
import type { ModelFile } from './model-file.ts'
import type { LlamaOptions } from './options.ts'
import type { Embedder, TextModel } from './runtime.ts'
import type { SlotPool } from './slots.ts'

/** A loaded model and all that its requests share. */
export interface Serving {
  readonly options: LlamaOptions
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly model: TextModel
  readonly file: ModelFile
  /** Tokens of one sequence. */
  readonly contextTokens: number
  readonly loadedAtMs: number
  readonly task: TextTask | EmbeddingTask
  /** llama.cpp is beyond help; the process must end. */
  readonly onFault: (error: unknown) => void
}

export interface TextTask {
  readonly kind: 'text'
  readonly lanes: Lanes
  readonly chatTemplate: ChatTemplate
}

export interface EmbeddingTask {
  readonly kind: 'embeddings'
  readonly pool: SlotPool<EmbeddingSlot>
}

export interface EmbeddingSlot {
  readonly embedder: Embedder
  /** Nothing is kept between inputs. */
  sharedWith(): number
}

/** How a request ended, for its log line and the counters. */
export interface Finished {
  readonly kind: 'finished'
  readonly outcome: 'stop' | 'length' | 'embedded' | 'other' | 'aborted' | 'error'
  readonly model?: string
  readonly promptTokens?: number
  readonly completionTokens?: number
}

/** An id as OpenAI's look, from the injected randomness. */
export function newId(prefix: string, random: Random): string {
  let id = prefix
  for (let part = 0; part < 6; part++) {
    id += Math.floor(random() * 0x10000)
      .toString(16)
      .padStart(4, '0')
  }
  return id
}
