import { describe, test } from 'vitest'
import { entries, listing } from './conformance-entries.testing.ts'
import { closing, leases } from './conformance-leases.testing.ts'
import { transactions } from './conformance-transactions.testing.ts'
import { compaction, watching } from './conformance-watching.testing.ts'
import type { It, OpenWorld } from './store-world.testing.ts'

/** Every sentence of `store.ts`, for one driver. */
export function storeConformance(name: string, open: OpenWorld): void {
  const it: It = (sentence, run, needs = { untouched: false }) => {
    test(sentence, async () => {
      await using world = await open(needs)
      await run(world)
    })
  }
  describe(`${name} store`, () => {
    describe('entries', () => entries(it))
    describe('listing', () => listing(it))
    describe('transactions', () => transactions(it))
    describe('watching', () => watching(it))
    describe('compaction', () => compaction(it))
    describe('leases', () => leases(it))
    describe('closing', () => closing(it))
  })
}
