/**
 * Chained hash of one KV block, 0 ≤ hash < 2^53: equal only when this block's tokens and all before it are
 * equal (up to collisions), so that a prefix of blocks is found by its last hash. `tokens[from..to)` is the
 * block, `parent` the hash of the block before it or `hashSeed(...)`.
 */
export function blockHash(parent: number, tokens: ArrayLike<number>, from: number, to: number): number {
  let high = Math.floor(parent / LOW_RANGE) | 0
  let low = (parent % LOW_RANGE) | 0
  for (let index = from; index < to; index++) {
    const token = (tokens[index] ?? 0) | 0
    high = Math.imul(high ^ token, 0x85eb_ca6b)
    high ^= high >>> 15
    low = Math.imul(low ^ token ^ index, 0xc2b2_ae35)
    low ^= low >>> 13
  }
  return joined(high, low)
}

/**
 * What the first block of a sequence is chained to. Two models, two adapters of one model, or two cache salts
 * never share blocks, as in vLLM, where the LoRA name and `cache_salt` are extra keys of the block hash.
 */
export function hashSeed(...parts: readonly string[]): number {
  let high = 0x9747_b28c | 0
  let low = 0x2545_f491 | 0
  for (const part of parts) {
    for (let index = 0; index < part.length; index++) {
      const unit = part.charCodeAt(index)
      high = Math.imul(high ^ unit, 0x85eb_ca6b)
      high ^= high >>> 15
      low = Math.imul(low ^ unit, 0xc2b2_ae35)
      low ^= low >>> 13
    }
    // The end of a part counts too: ('ab', 'c') and ('a', 'bc') differ.
    high = Math.imul(high ^ 0x1_0000, 0x85eb_ca6b)
    low = Math.imul(low ^ 0x1_0001, 0xc2b2_ae35)
  }
  return joined(high, low)
}

const LOW_RANGE = 2 ** 21

/** 32 bits of one lane above 21 of the other: an integer that a double holds exactly. */
function joined(high: number, low: number): number {
  return (mixed(high) >>> 0) * LOW_RANGE + (mixed(low) >>> 11)
}

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
function mixed(value: number): number {
  let hash = value ^ (value >>> 16)
  hash = Math.imul(hash, 0x85eb_ca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2_ae35)
  return hash ^ (hash >>> 16)
}
