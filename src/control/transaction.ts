import type { Event } from '../domain/event.ts'
import { TXN_MAX_OPS } from '../store/limits.ts'
import type { Compare, Op } from '../store/store.ts'
import type { ClusterCache } from './cluster-cache.ts'
import type { RecordKind } from './record-kind.ts'
import { tables } from './records.ts'

/** What an event says; its id and time are the transaction's. */
export type EventText = Omit<Event, 'id' | 'atMs'>

/**
 * One change of the Store, built from what the mirror shows. Everything read through it, and everything written, is
 * compared when it is committed: a change that was decided on something that has changed since never happens.
 */
export class Transaction {
  readonly #cache: ClusterCache
  readonly #stamp: () => { readonly id: string; readonly atMs: number }
  readonly #compares = new Map<string, number>()
  readonly #ops = new Map<string, Op>()

  /** `stamp` gives each event its id and time. */
  constructor(cache: ClusterCache, stamp: () => { readonly id: string; readonly atMs: number }) {
    this.#cache = cache
    this.#stamp = stamp
  }

  get<Value>(table: RecordKind<Value>, name: string): Value | undefined {
    const key = table.key(name)
    this.#compares.set(key, this.#cache.modRevision(key))
    return this.#cache.get(table, name)?.value
  }

  /** Compares a key with a revision that was learned elsewhere, such as the one in a client's hand. */
  expect<Value>(table: RecordKind<Value>, name: string, modRevision: number): void {
    this.#compares.set(table.key(name), modRevision)
  }

  put<Value>(table: RecordKind<Value>, name: string, value: Value, leaseId?: string): void {
    const key = table.key(name)
    if (!this.#compares.has(key)) this.#compares.set(key, this.#cache.modRevision(key))
    this.#ops.set(key, table.put(name, value, leaseId === undefined ? {} : { leaseId }))
  }

  /** Deletes what is there; nothing when nothing is. */
  delete<Value>(table: RecordKind<Value>, name: string): void {
    const key = table.key(name)
    if (!this.#compares.has(key)) this.#compares.set(key, this.#cache.modRevision(key))
    if (this.#cache.modRevision(key) > 0) this.#ops.set(key, { kind: 'delete', key })
    else this.#ops.delete(key)
  }

  event(text: EventText): void {
    const stamped = { ...this.#stamp(), ...text }
    this.#ops.set(tables.events.key(stamped.id), tables.events.put(stamped.id, stamped))
  }

  get isEmpty(): boolean {
    return this.#ops.size === 0
  }

  get compares(): readonly Compare[] {
    return [...this.#compares].map(([key, modRevision]) => ({ key, modRevision }))
  }

  get ops(): readonly Op[] {
    return [...this.#ops.values()]
  }

  /** How many more compares and ops there is room for: the smaller of the two. */
  get room(): number {
    return TXN_MAX_OPS - Math.max(this.#compares.size, this.#ops.size)
  }
}
