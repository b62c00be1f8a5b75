import type { Clock } from '../../src/base/clock.ts'
import { YardError } from '../../src/base/errors.ts'
import type { Random } from '../../src/base/random.ts'
import type { ChangeSet, Compare, Op, Store, TxnResult } from '../../src/store/store.ts'
import type { SimProcess } from './sim-process.ts'

/** How a store treats one server while faults are on; each is a probability. */
export interface StoreFaults {
  /** A commit is refused although nothing conflicts. */
  readonly conflict: number
  /** A call fails and did nothing. */
  readonly before: number
  /** A call fails and did what it was to do. */
  readonly after: number
  /** A watch breaks at a revision. */
  readonly watchBreaks: number
  /** Longest delay of a call, and of a watched revision. */
  readonly mostMs: number
}

export const NO_STORE_FAULTS: StoreFaults = { conflict: 0, before: 0, after: 0, watchBreaks: 0, mostMs: 2 }

export interface Committed {
  readonly server: string
  readonly compares: readonly Compare[]
  readonly ops: readonly Op[]
  readonly revision: number
}

/** The store as one server reaches it: late, sometimes not at all, and never while that server stands still. */
export function storeOf(
  server: SimProcess,
  deps: {
    readonly store: Store
    readonly name: string
    readonly clock: Clock
    readonly random: Random
    readonly faults: () => StoreFaults
    readonly committed: (what: Committed) => void
  },
): Store {
  const { store, clock, random } = deps
  const call = <Value>(work: () => Promise<Value>): Promise<Value> =>
    server.through(async () => {
      const { before, after, mostMs } = deps.faults()
      await clock.sleep(random() * mostMs)
      if (random() < before) throw away('the request was lost')
      const value = await work()
      await clock.sleep(random() * mostMs)
      if (random() < after) throw away('the answer was lost')
      return value
    })
  return {
    get: (key) => call(() => store.get(key)),
    list: (prefix, options) => call(() => store.list(prefix, options)),
    txn: (compare, ops) =>
      call(async (): Promise<TxnResult> => {
        const victim = compare.find(({ key }) => !key.includes('/leader/'))
        if (victim && random() < deps.faults().conflict) {
          const { revision } = await store.list('/yard/v1/', { limit: 1 })
          return { kind: 'conflict', revision, conflicts: [victim.key] }
        }
        const result = await store.txn(compare, ops)
        if (result.kind === 'committed' && ops.length > 0) {
          deps.committed({ server: deps.name, compares: compare, ops, revision: result.revision })
        }
        return result
      }),
    async *watch(prefix, afterRevision, signal): AsyncGenerator<ChangeSet> {
      await server.gate()
      for await (const set of store.watch(prefix, afterRevision, signal)) {
        const { watchBreaks, mostMs } = deps.faults()
        await clock.sleep(random() * mostMs)
        await server.gate()
        if (random() < watchBreaks) throw away('the watch broke')
        yield set
      }
    },
    grantLease: (ttlMs) => call(() => store.grantLease(ttlMs)),
    keepAlive: (leaseId) => call(() => store.keepAlive(leaseId)),
    revokeLease: (leaseId) => call(() => store.revokeLease(leaseId)),
    compact: (revision) => call(() => store.compact(revision)),
    close: async () => {},
  }
}

function away(why: string): YardError {
  return new YardError('store_unavailable', why)
}
