import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../store/store.ts'
import type { ClusterCache } from './cluster-cache.ts'
import type { Metrics } from './metrics.ts'
import { ONLY, tables } from './records.ts'
import { Transaction } from './transaction.ts'

/** How long a write waits to see itself in the mirror before it answers anyway. */
const SEEN_WITHIN_MS = 5_000
const ATTEMPTS = 8
const PAUSE = { baseMs: 20, capMs: 500 }

/**
 * Runs decisions as transactions. `build` reads the mirror through the transaction, decides and fills in the writes;
 * it must not await. A conflict means that something read has changed: the mirror catches up and `build` decides
 * again. What was committed is in the mirror when `commit` resolves, so that a caller reads its own writes.
 */
export class Committer {
  readonly #deps: { store: Store; clock: Clock; random: Random; cache: ClusterCache; metrics: Metrics }
  #eventCount = 0

  constructor(deps: { store: Store; clock: Clock; random: Random; cache: ClusterCache; metrics: Metrics }) {
    this.#deps = deps
  }

  /**
   * `source` names the writer in metrics. With `term`, the leader's key must still be at that revision: a paused
   * ex-leader gets `conflict` with reason `not_leader`. Throws `unavailable` (reason `busy`) when it never got through.
   */
  async commit<Result>(
    source: string,
    build: (transaction: Transaction) => Result,
    term?: { readonly modRevision: number },
  ): Promise<Result> {
    const { store, random, cache, metrics } = this.#deps
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const transaction = new Transaction(cache, () => this.#stamp())
      const result = build(transaction)
      if (transaction.isEmpty) return result
      if (term) transaction.expect(tables.leader, ONLY, term.modRevision)
      const { compares } = transaction
      const outcome = await store.txn(compares, transaction.ops)
      metrics.count('yard_control_transactions_total', { source, outcome: outcome.kind })
      if (outcome.kind === 'committed') {
        await cache.waitUntil(() => cache.revision >= outcome.revision, SEEN_WITHIN_MS)
        return result
      }
      const fence = tables.leader.key(ONLY)
      if (term && outcome.conflicts.includes(fence)) throw notLeader()
      const seen = new Map(compares.map(({ key, modRevision }) => [key, modRevision]))
      const caughtUp = () => outcome.conflicts.some((key) => cache.modRevision(key) !== seen.get(key))
      await cache.waitUntil(caughtUp, backoffMs(attempt, PAUSE, random))
    }
    throw new YardError(
      'unavailable',
      'the objects of this change were changed by others each time it was tried',
      {
        reason: 'busy',
        hint: 'try again',
      },
    )
  }

  /** Sorts by time, then by order of making; the tail keeps servers apart. */
  #stamp(): { id: string; atMs: number } {
    const { clock, random } = this.#deps
    const atMs = clock.now()
    this.#eventCount = (this.#eventCount + 1) % 1_000_000
    const order = String(this.#eventCount).padStart(6, '0')
    const tail = Math.floor(random() * 36 ** 4)
      .toString(36)
      .padStart(4, '0')
    return { id: `${String(Math.floor(atMs)).padStart(15, '0')}-${order}-${tail}`, atMs }
  }
}

function notLeader(): YardError {
  return new YardError('conflict', 'another server leads now', { reason: 'not_leader' })
}
