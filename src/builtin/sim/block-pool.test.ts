import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBlockPool } from './block-pool.ts'

describe('the block pool', () => {
  it('hands out the least recently used block first and forgets what it held', () => {
    const pool = createBlockPool(3)
    const [a = -1, b = -1, c = -1] = pool.take(3)
    pool.name(a, 11)
    pool.name(b, 22)
    pool.name(c, 33)
    pool.release([b])
    pool.release([a])
    pool.release([c])
    expect(pool.take(1)).toEqual([b])
    expect(pool.find(22)).toBeUndefined()
    expect(pool.find(11)).toBe(a)
  })

  it('hands out blocks without content before cached ones', () => {
    const pool = createBlockPool(2)
    const [cached = -1, scratch = -1] = pool.take(2)
    pool.name(cached, 7)
    pool.release([cached, scratch])
    expect(pool.take(1)).toEqual([scratch])
    expect(pool.find(7)).toBe(cached)
  })

  it('keeps a shared block until its last holder lets go', () => {
    const pool = createBlockPool(1)
    const [block = -1] = pool.take(1)
    pool.hold(block)
    pool.release([block])
    expect(pool.freeCount()).toBe(0)
    pool.release([block])
    expect(pool.freeCount()).toBe(1)
    expect(() => pool.release([block])).toThrow(/twice/)
  })

  it('refuses to hand out more than it has', () => {
    expect(() => createBlockPool(2).take(3)).toThrow(/had 2/)
  })

  it('counts free blocks right through any mix of take, hold, name and release', () => {
    const move = fc.record({
      kind: fc.constantFrom('take', 'find', 'release'),
      n: fc.nat(5),
      hash: fc.nat(6),
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(move, { maxLength: 80 }), (size, moves) => {
        const pool = createBlockPool(size)
        const held: number[][] = []
        for (const { kind, n, hash } of moves) {
          if (kind === 'take' && n <= pool.freeCount()) {
            const blocks = pool.take(n)
            if (blocks[0] !== undefined) pool.name(blocks[0], hash)
            held.push(blocks)
          } else if (kind === 'find') {
            const block = pool.find(hash)
            if (block !== undefined) {
              pool.hold(block)
              held.push([block])
            }
          } else if (kind === 'release') {
            const [blocks] = held.splice(n % Math.max(1, held.length), 1)
            if (blocks) pool.release(blocks)
          }
          const distinct = new Set(held.flat())
          expect(pool.freeCount()).toBe(size - distinct.size)
          for (const block of distinct) expect(pool.isFree(block)).toBe(false)
        }
      }),
    )
  })
})
