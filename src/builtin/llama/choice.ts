import type { Clock } from '../../base/clock.ts'
import { type Generation, type GenerationEvent, generate } from './generate.ts'
import type { Metrics } from './metrics.ts'
import type { Sequence, TextModel } from './runtime.ts'
import type { SlotPool } from './slots.ts'

/** How one choice of an answer came out. */
export type ChoiceResult =
  | {
      readonly kind: 'done'
      readonly finishReason: 'stop' | 'length'
      readonly completionTokens: number
      readonly cachedTokens: number
    }
  | { readonly kind: 'overloaded' | 'timed_out' | 'aborted' }
  | { readonly kind: 'fault'; readonly error: unknown }

export interface ChoiceContext {
  readonly model: Pick<TextModel, 'detokenize' | 'isEnd'>
  readonly pool: SlotPool<Sequence>
  readonly clock: Clock
  readonly metrics: Metrics
  /** When the request arrived, on the monotonic clock. */
  readonly arrivedMs: number
  /** A sequence could not be brought back after a fault. */
  readonly onFault: (error: unknown) => void
}

/**
 * Takes a sequence, writes one choice on it and gives it back, whatever happens. `show` gets each token's text as it
 * is chosen (often empty) and may hold the writing up. The sequence is free again when this resolves.
 */
export async function writeChoice(
  context: ChoiceContext,
  generation: Generation,
  signal: AbortSignal,
  show: (text: string) => Promise<void>,
): Promise<ChoiceResult> {
  const acquired = await context.pool.acquire(generation.prompt, signal)
  if (acquired.kind !== 'slot') return acquired
  context.metrics.queueTime.observe(acquired.waitedMs / 1000)
  const sequence = acquired.slot
  try {
    return await write(context, sequence, generation, signal, show)
  } catch (error) {
    await sequence.renew().catch(context.onFault)
    return { kind: 'fault', error }
  } finally {
    context.pool.release(sequence)
  }
}

async function write(
  { model, clock, metrics, arrivedMs }: ChoiceContext,
  sequence: Sequence,
  generation: Generation,
  signal: AbortSignal,
  show: (text: string) => Promise<void>,
): Promise<ChoiceResult> {
  let cachedTokens = 0
  let completionTokens = 0
  let lastMs = arrivedMs
  const take = async (event: GenerationEvent): Promise<ChoiceResult | undefined> => {
    if (event.kind === 'started') {
      cachedTokens = event.cachedTokens
      metrics.promptTokens += generation.prompt.length
      metrics.cachedPromptTokens += cachedTokens
      return undefined
    }
    if (event.kind === 'end') {
      if (event.text !== '') await show(event.text)
      return { kind: 'done', finishReason: event.finishReason, completionTokens, cachedTokens }
    }
    completionTokens++
    metrics.generationTokens++
    const nowMs = clock.monotonicMs()
    const histogram = completionTokens === 1 ? metrics.timeToFirstToken : metrics.interTokenLatency
    histogram.observe((nowMs - lastMs) / 1000)
    lastMs = nowMs
    await show(event.text)
    return undefined
  }
  for await (const event of generate(model, sequence, generation, signal)) {
    const result = await take(event)
    if (result !== undefined) return result
  }
  return { kind: 'aborted' }
}
