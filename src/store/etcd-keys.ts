/** Keys as etcd has them: bytes, below the prefix that one cluster of ours has in a shared etcd. */
export class EtcdKeys {
  readonly #prefix: string
  readonly #prefixBytes: number

  constructor(prefix: string) {
    this.#prefix = prefix
    this.#prefixBytes = Buffer.byteLength(prefix)
  }

  encode(key: string): Buffer {
    return Buffer.from(this.#prefix + key)
  }

  decode(key: Buffer): string {
    return key.toString('utf8', this.#prefixBytes)
  }

  /** All keys that begin with `prefix`. */
  range(prefix: string): { key: Buffer; range_end: Buffer } {
    const key = this.encode(prefix)
    // In etcd's words: from the zero byte to the zero byte is everything.
    if (key.length === 0) return { key: ZERO, range_end: ZERO }
    const end = Buffer.from(key)
    // The last byte of UTF-8 is never 0xff, so adding one never carries.
    end[end.length - 1] = (end[end.length - 1] ?? 0) + 1
    return { key, range_end: end }
  }

  /** The least key after this one. */
  after(key: Buffer): Buffer {
    return Buffer.concat([key, ZERO])
  }
}

const ZERO = Buffer.from([0])
