/** A key, its value and the revisions that made and last changed it. */
export interface Entry {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly leaseId?: string
}

/** Holds when the key's `modRevision` is this; 0 means that the key must be absent. */
export interface Compare {
  readonly key: string
  readonly modRevision: number
}

/** A put without `leaseId` takes the key off the lease that it had, as in etcd. */
export type Op =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly leaseId?: string }
  | { readonly kind: 'delete'; readonly key: string }

/** A conflict is a value, not an error: `conflicts` are the keys whose compare did not hold. */
export type TxnResult =
  | { readonly kind: 'committed'; readonly revision: number }
  | { readonly kind: 'conflict'; readonly revision: number; readonly conflicts: readonly string[] }

export type Change =
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: string
      readonly modRevision: number
      readonly createRevision: number
    }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: number }

/** All changes of one revision under the watched prefix: in the order of the ops, or of the keys for a lease. */
export interface ChangeSet {
  readonly revision: number
  readonly changes: readonly Change[]
}

/**
 * Truth, with etcd's semantics. Revisions are positive integers that grow by one for each transaction that
 * changes something; a new store is at revision 1, as etcd's. (In an etcd that others use too, their
 * transactions count as well: revisions still grow, with gaps.)
 *
 * Faults are `YardError`: `store_unavailable` (may or may not have been applied), `compacted` (from `watch`, when
 * that history is gone; list anew and watch from there), `invalid_request` (a key twice in one transaction, an
 * unknown lease, an empty key, text that UTF-8 cannot hold, more than `limits.ts` allows), `too_large`. After
 * `close` every call rejects with `store_unavailable`.
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>
  /**
   * Entries whose key begins with `prefix` (the empty prefix: all), in key order (bytes of UTF-8), and the
   * revision they are of. No more than `limit`, when given.
   */
  list(
    prefix: string,
    options?: { limit?: number },
  ): Promise<{ readonly revision: number; readonly entries: readonly Entry[] }>
  /**
   * Compares, then applies all ops at one revision, or none. Durable when it resolves (embedded, etcd). A txn
   * that changes nothing (no ops, or deletes of absent keys only) is committed at the present revision. A put
   * of the value that is already there is a change.
   */
  txn(compare: readonly Compare[], ops: readonly Op[]): Promise<TxnResult>
  /**
   * Every revision after `afterRevision` that touched the prefix: whole, once, in order. Ends when `signal`
   * aborts (also when it already has) and throws `compacted` when that history is gone, also for a reader that
   * is slower than compaction. A revision in the future is waited for.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<ChangeSet>
  /**
   * A promise that expires: keys put with it vanish, in one revision, when it is not kept alive for `ttlMs`.
   * Never earlier; later by what the driver must round up (etcd: whole seconds, and a least TTL of about two)
   * and by a full TTL when the store itself was restarted, elected a leader or stalled.
   */
  grantLease(ttlMs: number): Promise<string>
  /** Renews; false when the lease has expired or was revoked. */
  keepAlive(leaseId: string): Promise<boolean>
  /** Ends the lease now and deletes its keys, in one revision. Revoking an unknown lease does nothing. */
  revokeLease(leaseId: string): Promise<void>
  /**
   * Forgets history before `revision`; entries stay, and so does watching after `revision - 1`. A revision that
   * is already forgotten does nothing; one beyond the next is `invalid_request`.
   */
  compact(revision: number): Promise<void>
  close(): Promise<void>
}
