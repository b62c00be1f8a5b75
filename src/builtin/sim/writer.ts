import { seededRandom } from '../../base/random.ts'
import { hashSeed } from './block-hash.ts'
import type { OutputToken } from './sim-request.ts'
import { END_TOKEN, tokenDecoder, tokenize, wordToken } from './tokens.ts'
import { WORDS } from './words.ts'

export interface WriterOptions {
  /** `echo` repeats `source`; `random` writes English-looking sentences. Same arguments, same text. */
  readonly mode: 'random' | 'echo'
  readonly source: string
  /** All that the text depends on: seed, model, prompt, choice. */
  readonly seeds: readonly string[]
  readonly stop: readonly string[]
  readonly stopTokenIds: readonly number[]
  readonly includeStop: boolean
  readonly ignoreEos: boolean
  readonly minTokens: number
}

/** The text side of one choice: what the core asks for tokens and the response asks for text. */
export interface Writer {
  next(index: number): OutputToken
  /**
   * Text since the last call. Holds back what could be the beginning of a stop string, as vLLM does, until
   * `last` is true.
   */
  takeText(last: boolean): string
  /** The stop string or token that ended it; undefined when it ended by itself or not yet. */
  stoppedBy(): string | number | undefined
}

export function createWriter(options: WriterOptions): Writer {
  const tokenAt = options.mode === 'echo' ? echoing(options) : rambling(options)
  const decode = tokenDecoder()
  const holdBack = Math.max(0, ...options.stop.map((stop) => stop.length - 1))
  let pending = ''
  let stoppedBy: string | number | undefined

  const stopString = (): boolean => {
    for (const stop of options.stop) {
      const at = stop === '' ? -1 : pending.indexOf(stop)
      if (at < 0) continue
      stoppedBy = stop
      pending = pending.slice(0, options.includeStop ? at + stop.length : at)
      return true
    }
    return false
  }

  return {
    next(index) {
      const token = tokenAt(index)
      const early = index + 1 < options.minTokens
      if (token === END_TOKEN) return { token, stop: true }
      if (!early && options.stopTokenIds.includes(token)) {
        stoppedBy = token
        return { token, stop: true }
      }
      pending += decode(token)
      return { token, stop: !early && stopString() }
    },
    takeText(last) {
      if (last && stoppedBy === undefined) pending += decode(undefined)
      const ready = last || holdBack === 0 ? pending.length : Math.max(0, pending.length - holdBack)
      const text = pending.slice(0, ready)
      pending = pending.slice(ready)
      return text
    },
    stoppedBy: () => stoppedBy,
  }
}

/** Repeats the source, then ends; begins again when it may not end. */
function echoing({ source, ignoreEos, minTokens }: WriterOptions): (index: number) => number {
  const tokens = tokenize(source)
  return (index) => {
    if (index >= tokens.length && !ignoreEos && index >= minTokens) return END_TOKEN
    return tokens[index % Math.max(1, tokens.length)] ?? SPACE
  }
}

/**
 * Sentences of 5 to 14 words. The least length of the whole is drawn once: a minimum plus an exponential, so
 * that most answers are short and a few long, as chat answers are.
 */
function rambling({ seeds, ignoreEos, minTokens }: WriterOptions): (index: number) => number {
  const random = seededRandom(hashSeed(...seeds))
  const length = Math.max(minTokens, Math.min(600, 12 + Math.round(-64 * Math.log(1 - random()))))
  let wordsLeft = 0
  let first = true
  return (index) => {
    // At the end of a sentence, so that it does not read as cut.
    if (index >= length && first && !ignoreEos) return END_TOKEN
    if (wordsLeft === 0 && !first) {
      first = true
      return FULL_STOP
    }
    const begins = first
    if (first) wordsLeft = 5 + Math.floor(random() * 10)
    first = false
    wordsLeft--
    // The square favours the head of the list, where the joiners are: it reads less like a list of nouns.
    const word = Math.floor(random() ** 2 * WORDS.length)
    return wordToken(word, { space: index > 0, capital: begins })
  }
}

const FULL_STOP = tokenize('.')[0] ?? END_TOKEN
const SPACE = tokenize(' ')[0] ?? END_TOKEN
