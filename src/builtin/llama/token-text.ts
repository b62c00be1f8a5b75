/** Text of tokens that stand together. An incomplete code point at the end decodes to one U+FFFD. */
export type Detokenize = (tokens: readonly number[]) => string

const REPLACEMENT = '\uFFFD'

/** Tokens before the current one that are decoded along with it, because some tokenizers join words by context. */
const CONTEXT_TOKENS = 4

/** Undecided tokens after which decoding starts afresh: longer than any code point, so only noise gets there. */
const MOST_PENDING = 32

/**
 * Turns a stream of tokens into text. A code point may be spread over several tokens; it is given out when its last
 * byte is there, so a reader never sees a broken one. Bytes that can never become a code point come out as U+FFFD.
 */
export class TokenText {
  readonly #detokenize: Detokenize
  /** Tokens whose text is decoded together: some that were given out already, then the undecided ones. */
  #window: number[]
  /** How much of the window's text was given out. */
  #given: number

  /** `before`: the last tokens of the prompt. */
  constructor(detokenize: Detokenize, before: readonly number[]) {
    this.#detokenize = detokenize
    this.#window = before.slice(-CONTEXT_TOKENS)
    this.#given = detokenize(this.#window).length
  }

  push(token: number): string {
    this.#window.push(token)
    const text = this.#detokenize(this.#window)
    // Only the last sequence of bytes can still be completed, and it decodes to exactly one replacement.
    const complete = text.endsWith(REPLACEMENT) ? text.slice(0, -REPLACEMENT.length) : text
    const fresh = complete.slice(this.#given)
    this.#given = Math.max(this.#given, complete.length)
    if (complete.length === text.length || this.#window.length > MOST_PENDING) this.#shrink()
    return fresh
  }

  #shrink(): void {
    if (this.#window.length <= CONTEXT_TOKENS) return
    this.#window = this.#window.slice(-CONTEXT_TOKENS)
    const text = this.#detokenize(this.#window)
    this.#given = text.endsWith(REPLACEMENT) ? text.length - REPLACEMENT.length : text.length
  }
}
