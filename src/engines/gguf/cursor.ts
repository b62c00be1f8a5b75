import type { GgufReason } from './gguf.ts'

/** Ends parsing; never leaves this folder (the reader turns it into a value). */
export class GgufFlaw extends Error {
  readonly reason: GgufReason | 'short'

  constructor(reason: GgufReason | 'short', message: string) {
    super(message)
    this.reason = reason
  }
}

/**
 * Reads little-endian values from bytes, and nothing outside them. Running past the end is the flaw `short`: the
 * reader then fetches more of the file, or calls it truncated when there is no more.
 */
export class Cursor {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true })
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get position(): number {
    return this.#at
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1))
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2), true)
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true)
  }

  float32(): number {
    return this.#view.getFloat32(this.#take(4), true)
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  uint64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  int64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true)
  }

  /** A 64-bit count or size that must not pass `limit`; `what` names it in the message. */
  count(limit: number, what: string): number {
    const value = this.uint64()
    if (value > BigInt(limit)) {
      throw new GgufFlaw('limit_exceeded', `${what} is ${value}, more than the ${limit} that is read`)
    }
    return Number(value)
  }

  string(limitBytes: number, what: string): string {
    const length = this.count(limitBytes, `the length of ${what}`)
    const start = this.#take(length)
    return this.#text.decode(this.#bytes.subarray(start, start + length))
  }

  skip(byteCount: number): void {
    this.#take(byteCount)
  }

  #take(byteCount: number): number {
    const start = this.#at
    if (byteCount > this.#bytes.length - start) throw new GgufFlaw('short', 'the header ends early')
    this.#at = start + byteCount
    return start
  }
}
