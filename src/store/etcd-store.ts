import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { EtcdClient, type EtcdClientOptions } from './etcd-client.ts'
import { etcdFault, isCompacted, isUnknownLease } from './etcd-faults.ts'
import { EtcdKeys } from './etcd-keys.ts'
import {
  COMPACT,
  COMPARE_MOD_EQUAL,
  type KeyValue,
  LEASE_GRANT,
  LEASE_KEEP_ALIVE,
  LEASE_REVOKE,
  RANGE,
  type RequestOp,
  TXN,
} from './etcd-protocol.ts'
import { watchEtcd } from './etcd-watch.ts'
import { checkKey, checkLimit, checkPrefix, checkRevision, checkTtl, checkTxn } from './limits.ts'
import type { ChangeSet, Compare, Entry, Op, Store, TxnResult } from './store.ts'

export interface EtcdStoreOptions extends Pick<EtcdClientOptions, 'endpoints' | 'tls' | 'auth'> {
  /** Put before every key, so that several clusters share an etcd. Default: nothing. */
  readonly keyPrefix?: string
  /** Real time: deadlines of gRPC are. */
  readonly clock: Clock
  readonly random: Random
  /** How long one call may take. Default 5 s. */
  readonly requestTimeoutMs?: number
  /** How long a watch tries to come back, without any success, before it throws. Default 60 s. */
  readonly watchGiveUpMs?: number
}

/**
 * The Store of more than one server: an etcd cluster, 3.4 or newer. Rejects with `store_unavailable` when none of
 * the endpoints answers or the user is refused, `invalid_request` when an endpoint cannot be one.
 *
 * Compaction of an etcd belongs to who runs it (`--auto-compaction-retention`); `compact` compacts all of it.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const store = new EtcdStore(options)
  try {
    await store.get('/')
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

class EtcdStore implements Store {
  readonly #client: EtcdClient
  readonly #keys: EtcdKeys
  readonly #options: EtcdStoreOptions & { readonly requestTimeoutMs: number }
  readonly #closed = new AbortController()

  constructor(options: EtcdStoreOptions) {
    this.#options = { ...options, requestTimeoutMs: options.requestTimeoutMs ?? 5_000 }
    checkPrefix(options.keyPrefix ?? '')
    this.#keys = new EtcdKeys(options.keyPrefix ?? '')
    this.#client = new EtcdClient(this.#options)
  }

  async get(key: string): Promise<Entry | undefined> {
    checkKey(key)
    const request = { key: this.#keys.encode(key) }
    const { kvs } = await this.#call(() => this.#client.call(RANGE, request, REPEATABLE))
    return kvs[0] === undefined ? undefined : this.#entry(kvs[0])
  }

  async list(
    prefix: string,
    options: { limit?: number } = {},
  ): Promise<{ readonly revision: number; readonly entries: readonly Entry[] }> {
    checkPrefix(prefix)
    checkLimit(options.limit)
    return await this.#call(async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#listPages(prefix, options.limit ?? Number.POSITIVE_INFINITY)
        } catch (error) {
          // Compacted between two pages: list anew, at a revision that is kept.
          if (!isCompacted(error) || attempt === LIST_ATTEMPTS) throw error
        }
      }
    })
  }

  async txn(compare: readonly Compare[], ops: readonly Op[]): Promise<TxnResult> {
    checkTxn(compare, ops)
    // etcd answers an empty transaction from one member's memory, which may be behind.
    if (compare.length + ops.length === 0) return { kind: 'committed', revision: await this.#revision() }
    const request = {
      compare: compare.map(({ key, modRevision }) => ({
        ...COMPARE_MOD_EQUAL,
        key: this.#keys.encode(key),
        mod_revision: modRevision,
      })),
      success: ops.map((op) => this.#requestOp(op)),
      failure: compare.map(({ key }) => ({
        request_range: { key: this.#keys.encode(key), keys_only: true },
      })),
    }
    const answer = await this.#call(() => this.#client.call(TXN, request, ONCE))
    const revision = Number(answer.header.revision)
    if (answer.succeeded) return { kind: 'committed', revision }
    const conflicts = compare.filter(({ modRevision }, at) => {
      const found = answer.responses[at]?.response_range?.kvs[0]
      return Number(found?.mod_revision ?? 0) !== modRevision
    })
    return { kind: 'conflict', revision, conflicts: conflicts.map(({ key }) => key) }
  }

  async *watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<ChangeSet> {
    checkPrefix(prefix)
    checkRevision(afterRevision)
    this.#assertOpen()
    const { clock, random, requestTimeoutMs, watchGiveUpMs: giveUpMs = 60_000 } = this.#options
    const options = { client: this.#client, keys: this.#keys, clock, random, requestTimeoutMs, giveUpMs }
    yield* watchEtcd(options, prefix, afterRevision, AbortSignal.any([signal, this.#closed.signal]))
    if (!signal.aborted) this.#assertOpen()
  }

  async grantLease(ttlMs: number): Promise<string> {
    checkTtl(ttlMs)
    // Repeatable: a lease that nobody was told of expires by itself.
    const request = { TTL: Math.ceil(ttlMs / 1_000) }
    return (await this.#call(() => this.#client.call(LEASE_GRANT, request, REPEATABLE))).ID
  }

  async keepAlive(leaseId: string): Promise<boolean> {
    this.#assertOpen()
    if (!isLeaseId(leaseId)) return false
    const answer = await this.#call(() => this.#client.call(LEASE_KEEP_ALIVE, { ID: leaseId }, REPEATABLE))
    return Number(answer.TTL) > 0
  }

  async revokeLease(leaseId: string): Promise<void> {
    this.#assertOpen()
    if (!isLeaseId(leaseId)) return
    await this.#call(async () => {
      try {
        await this.#client.call(LEASE_REVOKE, { ID: leaseId }, REPEATABLE)
      } catch (error) {
        if (!isUnknownLease(error)) throw error
      }
    })
  }

  async compact(revision: number): Promise<void> {
    checkRevision(revision)
    this.#assertOpen()
    // etcd's compacted revision is the last one forgotten, ours the first one kept.
    if (revision <= 1) return
    await this.#call(async () => {
      try {
        await this.#client.call(COMPACT, { revision: revision - 1 }, REPEATABLE)
      } catch (error) {
        if (!isCompacted(error)) throw error
      }
    })
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    this.#client.close()
  }

  async #call<A>(run: () => Promise<A>): Promise<A> {
    this.#assertOpen()
    try {
      return await run()
    } catch (error) {
      this.#assertOpen()
      throw etcdFault(error)
    }
  }

  /** Every page is of the revision of the first. */
  async #listPages(prefix: string, limit: number): Promise<{ revision: number; entries: Entry[] }> {
    const entries: Entry[] = []
    const range = this.#keys.range(prefix)
    let from = range.key
    let revision = 0
    for (;;) {
      const page = { ...range, key: from, limit: Math.min(PAGE_ENTRIES, limit - entries.length), revision }
      const answer = await this.#client.call(RANGE, page, REPEATABLE)
      if (revision === 0) revision = Number(answer.header.revision)
      for (const kv of answer.kvs) entries.push(this.#entry(kv))
      const last = answer.kvs.at(-1)
      if (!answer.more || last === undefined || entries.length >= limit) return { revision, entries }
      from = this.#keys.after(last.key)
    }
  }

  async #revision(): Promise<number> {
    const request = { key: this.#keys.encode('/'), keys_only: true }
    const answer = await this.#call(() => this.#client.call(RANGE, request, REPEATABLE))
    return Number(answer.header.revision)
  }

  #requestOp(op: Op): RequestOp {
    const key = this.#keys.encode(op.key)
    if (op.kind === 'delete') return { request_delete_range: { key } }
    // An id that etcd cannot have given is as unknown as one that has expired, but must not become "no lease".
    const lease = op.leaseId === undefined ? '0' : isLeaseId(op.leaseId) ? op.leaseId : IMPOSSIBLE_LEASE
    return { request_put: { key, value: Buffer.from(op.value), lease } }
  }

  #entry(kv: KeyValue): Entry {
    return {
      key: this.#keys.decode(kv.key),
      value: kv.value.toString('utf8'),
      createRevision: Number(kv.create_revision),
      modRevision: Number(kv.mod_revision),
      ...(kv.lease === '0' ? {} : { leaseId: kv.lease }),
    }
  }

  #assertOpen(): void {
    if (this.#closed.signal.aborted) {
      throw new YardError('store_unavailable', 'The store was closed.', { reason: 'closed' })
    }
  }
}

const REPEATABLE = { repeatable: true } as const
const ONCE = { repeatable: false } as const
const PAGE_ENTRIES = 256
const LIST_ATTEMPTS = 3

/** etcd gives positive ids only. */
const IMPOSSIBLE_LEASE = '-1'

/** A positive int64 in decimal. */
function isLeaseId(text: string): boolean {
  return /^[1-9]\d{0,18}$/.test(text) && BigInt(text) < 2n ** 63n
}
