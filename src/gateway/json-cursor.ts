/** The bytes that JSON is built of; `END` stands for none. */
export const JSON_BYTE = {
  END: -1,
  QUOTE: 0x22,
  COMMA: 0x2c,
  COLON: 0x3a,
  OPEN_BRACE: 0x7b,
  CLOSE_BRACE: 0x7d,
} as const

/** Moves over JSON text. Methods that skip return false, with `at` where it went wrong, when they can't. */
export class JsonCursor {
  readonly bytes: Buffer
  at = 0
  /** Open brackets of the value being skipped, innermost last. */
  readonly #open: number[] = []

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** The next byte that is no white space, or END. */
  skipSpace(): number {
    const { bytes } = this
    for (let at = this.at; at < bytes.length; at++) {
      const byte = bytes[at] as number
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
        this.at = at
        return byte
      }
    }
    this.at = bytes.length
    return JSON_BYTE.END
  }

  /** From the opening quote to behind the closing one. */
  skipString(): boolean {
    const { bytes } = this
    let at = this.at + 1
    // Walks a little, then lets the engine search, which is many times faster in long strings (prompts, images) but
    // slow to call: text full of escaped quotes is walked.
    for (;;) {
      const walkEnd = Math.min(bytes.length, at + 48)
      while (at < walkEnd) {
        const byte = bytes[at]
        if (byte === QUOTE) {
          this.at = at + 1
          return true
        }
        at += byte === BACKSLASH ? 2 : 1
      }
      const quote = at < bytes.length ? bytes.indexOf(QUOTE, at) : -1
      if (quote === -1) return false
      if (!isEscaped(bytes, quote, at)) {
        this.at = quote + 1
        return true
      }
      at = quote + 1
    }
  }

  skipValue(): boolean {
    const first = this.bytes[this.at]
    if (first === QUOTE) return this.skipString()
    if (first === OPEN_BRACE || first === OPEN_BRACKET) return this.#skipNested()
    return this.#skipScalar()
  }

  #skipNested(): boolean {
    const { bytes } = this
    const open = this.#open
    open.length = 0
    while (this.at < bytes.length) {
      const byte = bytes[this.at]
      if (byte === QUOTE) {
        if (!this.skipString()) return false
        continue
      }
      this.at++
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (open.length === DEEPEST) return false
        // In ASCII a closing bracket stands two behind its opening one.
        open.push((byte as number) + 2)
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (open.pop() !== byte) return false
        if (open.length === 0) return true
      }
    }
    return false
  }

  #skipScalar(): boolean {
    switch (this.bytes[this.at]) {
      case 0x74:
        return this.#skipWord('true')
      case 0x66:
        return this.#skipWord('false')
      case 0x6e:
        return this.#skipWord('null')
      default:
        return this.#skipNumber()
    }
  }

  #skipWord(word: string): boolean {
    for (let place = 0; place < word.length; place++) {
      if (this.bytes[this.at + place] !== word.charCodeAt(place)) return false
    }
    this.at += word.length
    return true
  }

  /** By the grammar of RFC 8259: no leading zero, no dot at an end. */
  #skipNumber(): boolean {
    const { bytes } = this
    if (bytes[this.at] === MINUS) this.at++
    if (bytes[this.at] === ZERO) this.at++
    else if (!this.#skipDigits()) return false
    if (bytes[this.at] === DOT) {
      this.at++
      if (!this.#skipDigits()) return false
    }
    if (((bytes[this.at] ?? 0) | 0x20) === SMALL_E) {
      this.at++
      if (bytes[this.at] === PLUS || bytes[this.at] === MINUS) this.at++
      return this.#skipDigits()
    }
    return true
  }

  /** At least one. */
  #skipDigits(): boolean {
    const start = this.at
    for (let byte = this.bytes[start] ?? 0; byte >= ZERO && byte <= NINE; byte = this.bytes[this.at] ?? 0)
      this.at++
    return this.at > start
  }
}

/** True when an odd number of backslashes stands before `at`. */
function isEscaped(bytes: Buffer, at: number, start: number): boolean {
  let before = at - 1
  while (before >= start && bytes[before] === BACKSLASH) before--
  return (at - before) % 2 === 0
}

const DEEPEST = 512
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const SMALL_E = 0x65
