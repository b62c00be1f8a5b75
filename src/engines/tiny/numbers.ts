/** Uniform in -1 ≤ r < 1 from a seed (xorshift32): integer steps only, so the same bits on every platform. */
export function uniformNumbers(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 2_147_483_648 - 1
  }
}

/** Numbers as IEEE half floats, little-endian, rounded to nearest (ties to even). */
export function toF16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bytes = new Uint8Array(values.length * 2)
  const view = new DataView(bytes.buffer)
  for (const [index, word] of bits.entries()) view.setUint16(index * 2, halfBits(word), true)
  return bytes
}

/** Numbers as IEEE floats, little-endian. */
export function toF32(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 4)
  const view = new DataView(bytes.buffer)
  for (const [index, value] of values.entries()) view.setFloat32(index * 4, value, true)
  return bytes
}

function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000
  const exponent = ((word >>> 23) & 0xff) - 112
  // Too small for a normal half: zero. No weight here is that small.
  if (exponent <= 0) return sign
  if (exponent >= 31) return sign | 0x7c00
  const mantissa = word & 0x7fffff
  const rest = mantissa & 0x1fff
  const half = sign | (exponent << 10) | (mantissa >>> 13)
  return rest > 0x1000 || (rest === 0x1000 && (half & 1) === 1) ? half + 1 : half
}
