/** What may be shown now, and whether a stop string has ended the text. */
export interface Released {
  readonly text: string
  readonly stopped: boolean
}

/**
 * Ends a text before the stop string that is complete first, though it comes in pieces. Text that may turn out to be the
 * beginning of a stop string is held back, so no part of one is ever shown.
 */
export class StopText {
  readonly #stops: readonly string[]
  #held = ''

  constructor(stops: readonly string[]) {
    this.#stops = stops
  }

  push(piece: string): Released {
    this.#held += piece
    const at = firstToComplete(this.#held, this.#stops)
    if (at !== undefined) {
      const text = this.#held.slice(0, at)
      this.#held = ''
      return { text, stopped: true }
    }
    const keep = this.#stops.reduce((most, stop) => Math.max(most, endThatBegins(this.#held, stop)), 0)
    const text = this.#held.slice(0, this.#held.length - keep)
    this.#held = this.#held.slice(this.#held.length - keep)
    return { text, stopped: false }
  }

  /** What was held back, once it is certain that no more comes. */
  end(): string {
    const text = this.#held
    this.#held = ''
    return text
  }
}

/** Where the stop string begins that is complete first: the same one however the text is cut into pieces. */
function firstToComplete(text: string, stops: readonly string[]): number | undefined {
  let first: { at: number; end: number } | undefined
  for (const stop of stops) {
    const at = text.indexOf(stop)
    const end = at + stop.length
    if (at < 0 || (first && (end > first.end || (end === first.end && at > first.at)))) continue
    first = { at, end }
  }
  return first?.at
}

/** Length of the longest end of `text` with which `stop` begins. */
function endThatBegins(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (stop.startsWith(text.slice(text.length - length))) return length
  }
  return 0
}
