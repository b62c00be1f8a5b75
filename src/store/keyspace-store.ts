import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Effect, Keyspace } from './keyspace.ts'
import { LeaseTimers } from './lease-timers.ts'
import { checkKey, checkLimit, checkPrefix, checkRevision, checkTtl, checkTxn } from './limits.ts'
import type { ChangeSet, Compare, Entry, Op, Store, TxnResult } from './store.ts'
import { WakeUp } from './wake-up.ts'

/** Where effects are written down before anyone may see them. */
export interface Journal {
  /**
   * Resolves when the effect, and all before it, is durable; rejects when it will never be. Throws at once, and
   * takes nothing, when it cannot take more (`store_unavailable`).
   */
  append(effect: Effect): Promise<void>
  /** Writes what is waiting, then lets go of everything. */
  close(): Promise<void>
}

/**
 * A Store over a keyspace and a journal. Each effect is applied to memory at once, so that the next transaction
 * builds on it and many share one fsync, but nothing shows it before it is durable: answers wait for the
 * journal, and watchers see revisions up to `#visibleRevision` only. What a crash can take away, nobody saw.
 */
export class KeyspaceStore implements Store {
  readonly #keyspace: Keyspace
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #commitTimeoutMs: number
  readonly #leaseTimers: LeaseTimers
  readonly #published = new WakeUp()
  #visibleRevision: number
  #inFlight = 0
  #durable: Promise<void> = Promise.resolve()
  #fault: YardError | undefined

  constructor(options: { keyspace: Keyspace; journal: Journal; clock: Clock; commitTimeoutMs: number }) {
    this.#keyspace = options.keyspace
    this.#journal = options.journal
    this.#clock = options.clock
    this.#commitTimeoutMs = options.commitTimeoutMs
    this.#visibleRevision = options.keyspace.revision
    this.#leaseTimers = new LeaseTimers(options.clock, (leaseId, ttlMs) => this.#expire(leaseId, ttlMs))
    for (const { leaseId, ttlMs } of options.keyspace.leases()) this.#leaseTimers.start(leaseId, ttlMs)
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key)
    this.#assertUsable()
    const entry = this.#keyspace.get(key)
    await this.#settled()
    return entry
  }

  async list(
    prefix: string,
    options: { limit?: number } = {},
  ): Promise<{ readonly revision: number; readonly entries: readonly Entry[] }> {
    checkPrefix(prefix)
    checkLimit(options.limit)
    this.#assertUsable()
    const listing = {
      revision: this.#keyspace.revision,
      entries: this.#keyspace.list(prefix, options.limit),
    }
    await this.#settled()
    return listing
  }

  async txn(compare: readonly Compare[], ops: readonly Op[]): Promise<TxnResult> {
    checkTxn(compare, ops)
    this.#assertUsable()
    const { result, effect } = this.#keyspace.decideTxn(compare, ops)
    if (effect !== undefined) this.#commit(effect)
    await this.#settled()
    return result
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<ChangeSet> {
    checkPrefix(prefix)
    checkRevision(afterRevision)
    let cursor = afterRevision
    while (!signal.aborted) {
      this.#assertUsable()
      if (!this.#keyspace.remembersAfter(cursor)) throw compacted(cursor)
      if (cursor >= this.#visibleRevision) {
        await this.#published.next(signal)
        continue
      }
      const set = this.#keyspace.changeSet(++cursor)
      const changes = set?.changes.filter((change) => change.key.startsWith(prefix)) ?? []
      if (changes.length > 0) yield { revision: cursor, changes }
    }
  }

  async grantLease(ttlMs: number): Promise<string> {
    checkTtl(ttlMs)
    this.#assertUsable()
    const effect = this.#keyspace.decideGrant(ttlMs)
    this.#commit(effect)
    this.#leaseTimers.start(effect.leaseId, ttlMs)
    await this.#settled()
    return effect.leaseId
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    this.#assertUsable()
    const alive = this.#leaseTimers.renew(leaseId)
    await this.#settled()
    return alive
  }

  async revokeLease(leaseId: string): Promise<void> {
    this.#assertUsable()
    this.#endLease(leaseId)
    await this.#settled()
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision)
    this.#assertUsable()
    const effect = this.#keyspace.decideCompact(revision)
    if (effect !== undefined) this.#commit(effect)
    await this.#settled()
    this.#published.ring()
  }

  async close(): Promise<void> {
    this.#fault ??= new YardError('store_unavailable', 'The store was closed.', { reason: 'closed' })
    this.#leaseTimers.stopAll()
    this.#published.ring()
    await this.#journal.close()
  }

  /** Applies and journals in one synchronous step, so that memory and journal have the same order. */
  #commit(effect: Effect): void {
    const appended = this.#journal.append(effect)
    this.#keyspace.apply(effect)
    const revision = this.#keyspace.revision
    this.#inFlight++
    this.#durable = appended.then(
      () => {
        this.#inFlight--
        this.#visibleRevision = Math.max(this.#visibleRevision, revision)
        this.#published.ring()
      },
      (error: unknown) => this.#fail(error),
    )
    // Whoever asked waits in `#settled`; for an expired lease nobody does.
    this.#durable.catch(() => {})
  }

  /** Resolves when everything applied so far is durable, or rejects after `commitTimeoutMs`. */
  async #settled(): Promise<void> {
    if (this.#inFlight === 0) return
    const durable = this.#durable
    await new Promise<void>((resolve, reject) => {
      const timer = this.#clock.after(this.#commitTimeoutMs, () => reject(tooSlow(this.#commitTimeoutMs)))
      durable.then(resolve, reject).finally(() => timer.cancel())
    })
  }

  #expire(leaseId: string, ttlMs: number): void {
    if (this.#fault !== undefined) return
    try {
      this.#endLease(leaseId)
    } catch {
      // The journal takes nothing more just now: the lease stays for another TTL; requests report the fault.
      this.#leaseTimers.start(leaseId, ttlMs)
    }
  }

  #endLease(leaseId: string): void {
    const effect = this.#keyspace.decideEnd(leaseId)
    if (effect === undefined) return
    this.#commit(effect)
    this.#leaseTimers.stop(leaseId)
  }

  #fail(error: unknown): never {
    // Memory is now ahead of the disk, and stays so: nothing may be answered from it any more.
    this.#fault ??=
      error instanceof YardError
        ? error
        : new YardError('store_unavailable', 'The store could not write.', { cause: error })
    this.#leaseTimers.stopAll()
    this.#published.ring()
    throw this.#fault
  }

  #assertUsable(): void {
    if (this.#fault !== undefined) throw this.#fault
  }
}

/** The fault of a watch whose history is gone. */
export function compacted(afterRevision: number): YardError {
  return new YardError('compacted', `The changes after revision ${afterRevision} are no longer kept.`, {
    hint: 'List anew and watch from the revision of that list.',
    details: { afterRevision },
  })
}

function tooSlow(timeoutMs: number): YardError {
  return new YardError('store_unavailable', `The disk took longer than ${timeoutMs} ms to write.`, {
    reason: 'disk_slow',
    hint: 'The change may still be applied: read before trying again. Check the load of the disk.',
  })
}
