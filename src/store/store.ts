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

/** All changes of one revision under the watched prefix. */
export interface ChangeSet {
  readonly revision: number
  readonly changes: readonly Change[]
}

/**
 * Truth, with etcd's semantics. Revisions are positive integers that grow by one for each transaction that
 * changes something; a new store is at revision 1, as etcd's.
 *
 * Faults are `YardError`: `store_unavailable` (may or may not have been applied), `compacted` (from `watch` and
 * `list` at a revision that is gone; list anew and watch from there), `invalid_request` (a key twice in one
 * transaction, an unknown lease, an empty key). After `close` every call rejects with `store_unavailable`.
 */
export interface Store {
  get(key: string): Promise<Entry | undefined>
  /** Entries whose key begins with `prefix`, in key order (bytes of UTF-8), and the revision they are of. */
  list(
    prefix: string,
    options?: { limit?: number },
  ): Promise<{ readonly revision: number; readonly entries: readonly Entry[] }>
  /**
   * Compares, then applies all ops at one revision, or none. Durable when it resolves (embedded, etcd). A txn
   * that changes nothing (no ops, or deletes of absent keys only) is committed at the present revision.
   */
  txn(compare: readonly Compare[], ops: readonly Op[]): Promise<TxnResult>
  /**
   * Every revision after `afterRevision` that touched the prefix: whole, once, in order. Ends when `signal`
   * aborts (also when it already has) and throws `compacted` when that history is gone.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<ChangeSet>
  /** A promise that expires: keys put with it vanish, in one revision, when it is not kept alive for `ttlMs`. */
  grantLease(ttlMs: number): Promise<string>
  /** Renews; false when the lease has expired or was revoked. */
  keepAlive(leaseId: string): Promise<boolean>
  /** Ends the lease now and deletes its keys. Revoking an unknown lease does nothing. */
  revokeLease(leaseId: string): Promise<void>
  /** Forgets history before `revision`; entries stay. */
  compact(revision: number): Promise<void>
  close(): Promise<void>
}
