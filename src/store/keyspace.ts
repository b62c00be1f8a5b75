import { YardError } from '../base/errors.ts'
import { ChangeHistory } from './change-history.ts'
import { compareUtf8, SortedKeys } from './sorted-keys.ts'
import type { Change, ChangeSet, Compare, Entry, Op, TxnResult } from './store.ts'

/** What happened, decided and complete: applying the same effects to the same state gives the same state. */
export type Effect =
  | { readonly kind: 'change'; readonly revision: number; readonly ops: readonly Op[] }
  | { readonly kind: 'grant'; readonly leaseId: string; readonly ttlMs: number }
  /** The lease's keys go at `revision`, which is the present one when the lease has no keys. */
  | { readonly kind: 'end'; readonly leaseId: string; readonly revision: number }
  | { readonly kind: 'compact'; readonly revision: number }

export interface Lease {
  readonly leaseId: string
  readonly ttlMs: number
}

/** All that a keyspace is, for writing it down. Entries are in key order. */
export interface KeyspaceState {
  readonly revision: number
  readonly compactedRevision: number
  readonly nextLease: number
  readonly leases: readonly Lease[]
  readonly entries: readonly Entry[]
  readonly history: readonly ChangeSet[]
}

export interface HistoryBounds {
  readonly maxRevisions: number
  readonly maxBytes: number
}

/** History kept when nothing else is asked for: enough for watchers to come back after minutes. */
export const DEFAULT_HISTORY: HistoryBounds = { maxRevisions: 10_000, maxBytes: 32 * 1_048_576 }

/**
 * The state machine behind the memory and the embedded driver: keys, leases, history. It has no clock and does
 * no I/O. `decide…` say what a request would do and change nothing; `apply` does it.
 */
export class Keyspace {
  #revision = 1
  #compactedRevision = 0
  #nextLease = 1
  readonly #entries = new Map<string, Entry>()
  readonly #keys = new SortedKeys()
  readonly #leases = new Map<string, { ttlMs: number; keys: Set<string> }>()
  readonly #history: ChangeHistory

  constructor(bounds: HistoryBounds = DEFAULT_HISTORY, state?: KeyspaceState) {
    this.#history = new ChangeHistory(bounds)
    if (state === undefined) return
    this.#revision = state.revision
    this.#compactedRevision = state.compactedRevision
    this.#nextLease = state.nextLease
    for (const { leaseId, ttlMs } of state.leases) this.#leases.set(leaseId, { ttlMs, keys: new Set() })
    for (const entry of state.entries) this.#put(entry)
    for (const set of state.history) this.#remember(set)
  }

  get revision(): number {
    return this.#revision
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key)
  }

  list(prefix: string, limit = Number.POSITIVE_INFINITY): Entry[] {
    const entries: Entry[] = []
    for (const key of this.#keys.startingWith(prefix)) {
      const entry = this.#entries.get(key)
      if (entry !== undefined) entries.push(entry)
      if (entries.length >= limit) break
    }
    return entries
  }

  leases(): Lease[] {
    return [...this.#leases].map(([leaseId, { ttlMs }]) => ({ leaseId, ttlMs }))
  }

  /** True when every revision after this one is still known. Revision 1 is empty, so after 0 is as after 1. */
  remembersAfter(revision: number): boolean {
    return Math.max(revision, 1) >= this.#compactedRevision
  }

  changeSet(revision: number): ChangeSet | undefined {
    return this.#history.at(revision)
  }

  decideTxn(compare: readonly Compare[], ops: readonly Op[]): { result: TxnResult; effect?: Effect } {
    const conflicts = compare.filter((c) => (this.#entries.get(c.key)?.modRevision ?? 0) !== c.modRevision)
    if (conflicts.length > 0) {
      const keys = conflicts.map((c) => c.key)
      return { result: { kind: 'conflict', revision: this.#revision, conflicts: keys } }
    }
    for (const op of ops) {
      if (op.kind === 'put' && op.leaseId !== undefined && !this.#leases.has(op.leaseId)) {
        throw unknownLease(op.leaseId)
      }
    }
    const effective = ops.filter((op) => op.kind === 'put' || this.#entries.has(op.key))
    if (effective.length === 0) return { result: { kind: 'committed', revision: this.#revision } }
    const revision = this.#revision + 1
    return {
      result: { kind: 'committed', revision },
      effect: { kind: 'change', revision, ops: effective },
    }
  }

  decideGrant(ttlMs: number): Effect & { kind: 'grant' } {
    return { kind: 'grant', leaseId: String(this.#nextLease), ttlMs }
  }

  /** Undefined for an unknown lease. */
  decideEnd(leaseId: string): Effect | undefined {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) return undefined
    return { kind: 'end', leaseId, revision: this.#revision + (lease.keys.size > 0 ? 1 : 0) }
  }

  /** Undefined when that history is already forgotten. */
  decideCompact(revision: number): Effect | undefined {
    if (revision > this.#revision + 1) {
      throw new YardError(
        'invalid_request',
        `Revision ${revision} cannot be compacted: the store is at ${this.#revision}.`,
        { reason: 'future_revision' },
      )
    }
    return revision - 1 > this.#compactedRevision ? { kind: 'compact', revision } : undefined
  }

  /** Throws when the effect does not follow from this state, which is a defect or a damaged journal. */
  apply(effect: Effect): void {
    switch (effect.kind) {
      case 'change':
        this.#change(effect.revision, effect.ops)
        break
      case 'grant':
        this.#leases.set(effect.leaseId, { ttlMs: effect.ttlMs, keys: new Set() })
        this.#nextLease = Number(effect.leaseId) + 1
        break
      case 'end':
        this.#end(effect.leaseId, effect.revision)
        break
      case 'compact':
        this.#history.forgetThrough(effect.revision - 1)
        this.#compactedRevision = Math.max(this.#compactedRevision, effect.revision - 1)
    }
  }

  state(): KeyspaceState {
    return {
      revision: this.#revision,
      compactedRevision: this.#compactedRevision,
      nextLease: this.#nextLease,
      leases: this.leases(),
      entries: this.list(''),
      history: this.#history.toArray(),
    }
  }

  #change(revision: number, ops: readonly Op[]): void {
    if (revision !== this.#revision + 1) {
      throw new Error(`revision ${revision} does not follow revision ${this.#revision}`)
    }
    this.#revision = revision
    const changes = ops.map((op): Change => {
      if (op.kind === 'delete') {
        this.#delete(op.key)
        return { kind: 'delete', key: op.key, modRevision: revision }
      }
      const { key, value } = op
      const createRevision = this.#entries.get(key)?.createRevision ?? revision
      const lease = op.leaseId === undefined ? {} : { leaseId: op.leaseId }
      this.#put({ key, value, createRevision, modRevision: revision, ...lease })
      return { kind: 'put', key, value, modRevision: revision, createRevision }
    })
    this.#remember({ revision, changes })
  }

  #end(leaseId: string, revision: number): void {
    const lease = this.#leases.get(leaseId)
    if (lease === undefined) throw new Error(`lease ${leaseId} is not known`)
    const keys = [...lease.keys].sort(compareUtf8)
    if (keys.length > 0)
      this.#change(
        revision,
        keys.map((key) => ({ kind: 'delete', key })),
      )
    this.#leases.delete(leaseId)
  }

  #put(entry: Entry): void {
    const before = this.#entries.get(entry.key)
    if (before === undefined) this.#keys.add(entry.key)
    else this.#detach(before)
    this.#entries.set(entry.key, entry)
    if (entry.leaseId === undefined) return
    const lease = this.#leases.get(entry.leaseId)
    if (lease === undefined) throw unknownLease(entry.leaseId)
    lease.keys.add(entry.key)
  }

  #delete(key: string): void {
    const before = this.#entries.get(key)
    if (before === undefined) throw new Error(`key ${key} is not there to delete`)
    this.#detach(before)
    this.#entries.delete(key)
    this.#keys.delete(key)
  }

  #detach(entry: Entry): void {
    if (entry.leaseId !== undefined) this.#leases.get(entry.leaseId)?.keys.delete(entry.key)
  }

  #remember(set: ChangeSet): void {
    const forgotten = this.#history.push(set)
    if (forgotten !== undefined) this.#compactedRevision = Math.max(this.#compactedRevision, forgotten)
  }
}

function unknownLease(leaseId: string): YardError {
  return new YardError('invalid_request', `The lease ${leaseId} is not known: it expired or was revoked.`, {
    reason: 'unknown_lease',
    hint: 'Grant a new lease and put the key with it.',
  })
}
