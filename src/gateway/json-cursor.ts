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
    const start = this.at + 1
    // Short strings are walked; in long ones (prompts, images) the engine's own search is many times faster.
    const walkEnd = Math.min(bytes.length, start + 48)
    for (let at = start; at < walkEnd; at++) {
      const byte = bytes[at]
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) {
        this.at = at + 1
        return true
      }
    }
    for (let at = bytes.indexOf(QUOTE, start); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) {
      if (!isEscaped(bytes, at, start)) {
        this.at = at + 1
        return true
      }
    }
    return false
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
    const { bytes } = this
    const start = this.at
    let at = start
    while (at < bytes.length && isScalarByte(bytes[at] as number)) at++
    this.at = at
    const text = bytes.toString('latin1', start, at)
    return text === 'true' || text === 'false' || text === 'null' || NUMBER.test(text)
  }
}

/** A JSON number and nothing else. */
export const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/** Letters, digits, `+`, `-`, `.` */
function isScalarByte(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x2e ||
    byte === 0x45
  )
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
