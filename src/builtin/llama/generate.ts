import { FEED_TOKENS, type Sequence, type TextModel } from './runtime.ts'
import type { Sampling } from './sampling.ts'
import { StopText } from './stop-text.ts'
import { TokenText } from './token-text.ts'

export interface Generation {
  readonly prompt: readonly number[]
  readonly maxTokens: number
  readonly stop: readonly string[]
  readonly sampling: Sampling
  /** Go on after the model ended its answer. */
  readonly ignoreEnd: boolean
  /** Start from state that an earlier request left; off when a run must repeat bit by bit. */
  readonly reusePrefix: boolean
}

export type GenerationEvent =
  /** The prompt's state is about to be computed; `cachedTokens` of it is there already. */
  | { readonly kind: 'started'; readonly cachedTokens: number }
  /** A token was chosen. Its text may be empty while a code point or a stop string is undecided. */
  | { readonly kind: 'token'; readonly text: string }
  | { readonly kind: 'end'; readonly text: string; readonly finishReason: 'stop' | 'length' }

/**
 * Writes one answer on a sequence. Ends early, with no `end` event, when `signal` aborts: between two tokens or two
 * pieces of a long prompt. Throws what llama.cpp throws; the sequence then has to be renewed.
 */
export async function* generate(
  model: Pick<TextModel, 'detokenize' | 'isEnd'>,
  sequence: Sequence,
  request: Generation,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, void> {
  const { prompt } = request
  // The last token is always computed again: its result is what the first choice is made from.
  const cachedTokens = await sequence.keep(request.reusePrefix ? prompt.slice(0, -1) : [])
  yield { kind: 'started', cachedTokens }
  let fed = cachedTokens
  for (; prompt.length - fed > FEED_TOKENS; fed += FEED_TOKENS) {
    if (signal.aborted) return
    await sequence.feed(prompt.slice(fed, fed + FEED_TOKENS))
  }
  if (signal.aborted) return
  const text = new TokenText((tokens) => model.detokenize(tokens), prompt)
  const stop = new StopText(request.stop)
  let tokens = 0
  for await (const token of sequence.next(prompt.slice(fed), request.sampling)) {
    if (signal.aborted) return
    tokens++
    if (model.isEnd(token) && !request.ignoreEnd) {
      yield { kind: 'token', text: '' }
      yield { kind: 'end', text: stop.end(), finishReason: 'stop' }
      return
    }
    const released = stop.push(text.push(token))
    yield { kind: 'token', text: released.text }
    if (released.stopped) {
      yield { kind: 'end', text: '', finishReason: 'stop' }
      return
    }
    if (tokens >= request.maxTokens) {
      yield { kind: 'end', text: stop.end(), finishReason: 'length' }
      return
    }
  }
}
