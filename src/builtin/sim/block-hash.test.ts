import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockHash, hashSeed } from './block-hash.ts'

describe('block hashes', () => {
  it('depend on every token of the block and on all before it', () => {
    const tokens = fc.array(fc.nat(1 << 24), { minLength: 4, maxLength: 4 })
    fc.assert(
      fc.property(tokens, tokens, fc.nat(3), (first, second, at) => {
        const parent = blockHash(hashSeed('m'), first, 0, 4)
        const same = blockHash(parent, [...first, ...second], 4, 8)
        expect(blockHash(parent, [...first, ...second], 4, 8)).toBe(same)
        const changed = [...second]
        changed[at] = (changed[at] ?? 0) + 1
        expect(blockHash(parent, [...first, ...changed], 4, 8)).not.toBe(same)
        expect(blockHash(parent + 1, [...first, ...second], 4, 8)).not.toBe(same)
        expect(Number.isSafeInteger(same) && same >= 0).toBe(true)
      }),
    )
  })

  it('rarely collide', () => {
    const seen = new Set<number>()
    for (let n = 0; n < 50_000; n++) seen.add(blockHash(hashSeed('m'), [n & 255, n >> 8, 7, 7], 0, 4))
    expect(seen.size).toBe(50_000)
  })

  it('begin differently for different models, adapters and salts', () => {
    expect(hashSeed('ab', 'c')).not.toBe(hashSeed('a', 'bc'))
    expect(hashSeed('m', 'x', '')).not.toBe(hashSeed('m', '', 'x'))
  })
})
