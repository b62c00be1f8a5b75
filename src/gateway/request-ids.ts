import type { Random } from '../base/random.ts'

/** Makes ids of requests and traces. They are unique, not secret. */
export class RequestIds {
  readonly #random: Random
  readonly #words = new Uint32Array(WORDS)
  readonly #bytes: Buffer

  constructor(random: Random) {
    this.#random = random
    this.#bytes = Buffer.from(this.#words.buffer)
  }

  /** An id of our own: `req_` and 24 hex digits. */
  requestId(): string {
    return `req_${this.#hex(3)}`
  }

  /** A W3C trace context for a request that brought none, not sampled. */
  traceparent(): string {
    const hex = this.#hex(6)
    // The leading digit keeps both ids from being all zeros, which the format forbids.
    return `00-8${hex.slice(1, 32)}-8${hex.slice(33)}-00`
  }

  #hex(words: number): string {
    for (let place = 0; place < words; place++) this.#words[place] = this.#random() * 0x1_0000_0000
    return this.#bytes.toString('hex', 0, words * 4)
  }
}

const WORDS = 6
