import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { within } from '../base/within.ts'
import type { Entry, Store } from '../store/store.ts'
import { WakeUp } from '../store/wake-up.ts'
import type { RecordKind } from './record-kind.ts'
import { ROOT, tables } from './records.ts'

/** A record and the store revision that last changed it. */
export interface Row<Value> {
  readonly name: string
  readonly value: Value
  readonly modRevision: number
}

/** One record that changed; `before` and `after` are absent where it was not there (or could not be read). */
export interface RowChange {
  readonly kind: string
  readonly name: string
  readonly before?: unknown
  readonly after?: unknown
}

/** How far the mirror can be believed. */
export interface Freshness {
  /** It has been filled once. */
  readonly synced: boolean
  /** The watch is open. */
  readonly connected: boolean
  /** Since the store last answered; absent before it ever did. */
  readonly contactAgeMs?: number
}

const RETRY = { baseMs: 100, capMs: 5_000 }
const PROBE_EVERY_MS = 5_000
const LIST_WITHIN_MS = 30_000

/**
 * A mirror of everything that control keeps in the Store, at one revision at a time: code that does not await
 * between two reads sees one state. Fed by list and watch; a watch that ends is taken up again where it was, and
 * when that history is gone all is listed anew.
 */
export class ClusterCache {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #log: Log
  readonly #byKind = new Map<string, RecordKind<unknown>>()
  /** Of every key of ours, readable or not. */
  readonly #modRevisions = new Map<string, number>()
  readonly #unreadable = new Map<string, YardError>()
  readonly #rows = new Map<string, Map<string, Row<unknown>>>()
  readonly #sorted = new Map<string, readonly Row<unknown>[]>()
  readonly #listeners = new Set<(changes: readonly RowChange[]) => void>()
  readonly #changed = new WakeUp()
  #revision = 0
  #listedRevision = 0
  #connected = false
  #contactMs: number | undefined

  constructor(deps: { store: Store; clock: Clock; random: Random; log: Log }) {
    this.#store = deps.store
    this.#clock = deps.clock
    this.#random = deps.random
    this.#log = deps.log
    for (const table of Object.values(tables))
      this.#byKind.set(table.kind, table as unknown as RecordKind<unknown>)
  }

  /** The store revision that this is a picture of; 0 before the first. */
  get revision(): number {
    return this.#revision
  }

  /** Of the last listing: what changed and changed back before it was not seen. */
  get listedRevision(): number {
    return this.#listedRevision
  }

  /** Throws `record_unreadable` for a record that is there but can't be read. */
  get<Value>(table: RecordKind<Value>, name: string): Row<Value> | undefined {
    const row = this.#rows.get(table.kind)?.get(name)
    if (row === undefined && this.#unreadable.size > 0 && this.#unreadable.has(table.key(name))) {
      throw this.#unreadable.get(table.key(name))
    }
    return row as Row<Value> | undefined
  }

  /** All records of a kind in the order of their names. The array is shared: do not change it. */
  all<Value>(table: RecordKind<Value>): readonly Row<Value>[] {
    const known = this.#sorted.get(table.kind)
    if (known !== undefined) return known as readonly Row<Value>[]
    const rows = [...(this.#rows.get(table.kind)?.values() ?? [])]
    rows.sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0))
    this.#sorted.set(table.kind, rows)
    return rows as unknown as readonly Row<Value>[]
  }

  /** What a compare on this key must say to hold now: 0 when there is no such key. Also for unreadable records. */
  modRevision(key: string): number {
    return this.#modRevisions.get(key) ?? 0
  }

  /** How many records this version of the program can't read. */
  get unreadable(): number {
    return this.#unreadable.size
  }

  /** Throws `record_unreadable` when one can't be read: who plans must not plan as if it were not there. */
  assertReadable(): void {
    for (const [key, fault] of this.#unreadable) if (!key.startsWith(tables.events.prefix)) throw fault
  }

  freshness(): Freshness {
    return {
      synced: this.#revision > 0,
      connected: this.#connected,
      ...(this.#contactMs === undefined ? {} : { contactAgeMs: this.#clock.monotonicMs() - this.#contactMs }),
    }
  }

  /** Called after each revision with all that it changed. Returns how to stop listening. */
  onChange(listener: (changes: readonly RowChange[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Waits until `holds`; false when it does not within `timeoutMs` or the signal aborts. Asked at each revision. */
  async waitUntil(holds: () => boolean, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (holds()) return true
    if (timeoutMs <= 0) return false
    const ended = new AbortController()
    const end = () => ended.abort()
    const timer = this.#clock.after(timeoutMs, end)
    signal?.addEventListener('abort', end, { once: true })
    if (signal?.aborted) end()
    try {
      while (!ended.signal.aborted) {
        await this.#changed.next(ended.signal)
        if (holds()) return true
      }
      return false
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', end)
    }
  }

  /** Mirrors until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const probing = this.#probe(signal)
    let listed = false
    for (let attempt = 1; !signal.aborted; ) {
      const before = this.#revision
      try {
        if (!listed) this.#replaceAll(await this.#answer(this.#store.list(ROOT), LIST_WITHIN_MS))
        listed = true
        await this.#follow(signal)
      } catch (error) {
        if (signal.aborted) break
        if (isYardError(error, 'compacted')) listed = false
        if (this.#revision > before) attempt = 1
        this.#log.warn('cache_interrupted', { revision: this.#revision, attempt, error: errorText(error) })
      }
      this.#connected = false
      await this.#clock.sleep(backoffMs(attempt++, RETRY, this.#random), signal).catch(() => {})
    }
    this.#connected = false
    await probing
  }

  async #follow(signal: AbortSignal): Promise<void> {
    this.#connected = true
    for await (const set of this.#store.watch(ROOT, this.#revision, signal)) {
      const changes: RowChange[] = []
      for (const change of set.changes) {
        const entry = change.kind === 'put' ? change : undefined
        const seen = this.#set(change.key, entry)
        if (seen) changes.push(seen)
      }
      this.#publish(set.revision, changes)
    }
  }

  #replaceAll(listing: { revision: number; entries: readonly Entry[] }): void {
    const changes: RowChange[] = []
    const present = new Set(listing.entries.map((entry) => entry.key))
    for (const key of [...this.#modRevisions.keys()]) {
      const seen = present.has(key) ? undefined : this.#set(key, undefined)
      if (seen) changes.push(seen)
    }
    for (const entry of listing.entries) {
      if (this.#modRevisions.get(entry.key) === entry.modRevision) continue
      const seen = this.#set(entry.key, entry)
      if (seen) changes.push(seen)
    }
    this.#listedRevision = listing.revision
    this.#publish(listing.revision, changes)
  }

  #set(key: string, entry: Written | undefined): RowChange | undefined {
    const [kind = ''] = key.slice(ROOT.length).split('/')
    const table = this.#byKind.get(kind)
    const name = table?.nameOf(key)
    if (table === undefined || name === undefined) return undefined
    const rows = this.#rows.get(kind) ?? new Map<string, Row<unknown>>()
    this.#rows.set(kind, rows)
    this.#sorted.delete(kind)
    const before = rows.get(name)?.value
    rows.delete(name)
    this.#unreadable.delete(key)
    this.#modRevisions.delete(key)
    if (entry !== undefined) {
      this.#modRevisions.set(key, entry.modRevision)
      const value = this.#read(table, entry)
      if (value !== undefined) rows.set(name, { name, value, modRevision: entry.modRevision })
    }
    const after = rows.get(name)?.value
    return {
      kind,
      name,
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    }
  }

  #read(table: RecordKind<unknown>, entry: Written): unknown {
    try {
      return table.read(entry)
    } catch (error) {
      const { key, modRevision } = entry
      this.#log.error('record_unreadable', { key, modRevision, error: errorText(error) })
      this.#unreadable.set(key, isYardError(error) ? error : unreadable(key, error))
      return undefined
    }
  }

  #publish(revision: number, changes: readonly RowChange[]): void {
    this.#revision = revision
    this.#contactMs = this.#clock.monotonicMs()
    if (changes.length > 0) for (const listener of [...this.#listeners]) listener(changes)
    this.#changed.ring()
  }

  /** A quiet watch says nothing about whether the store can still be reached; this asks. */
  async #probe(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(PROBE_EVERY_MS, signal).catch(() => {})
      if (signal.aborted) return
      await this.#answer(this.#store.list(tables.leader.prefix, { limit: 1 }), PROBE_EVERY_MS).then(
        () => {
          this.#contactMs = this.#clock.monotonicMs()
        },
        () => undefined,
      )
    }
  }

  #answer<Value>(call: Promise<Value>, timeoutMs: number): Promise<Value> {
    return within(this.#clock, timeoutMs, call, 'the store did not answer')
  }
}

type Written = Pick<Entry, 'key' | 'value' | 'createRevision' | 'modRevision'>

function unreadable(key: string, cause: unknown): YardError {
  return new YardError('record_unreadable', `the record ${key} can't be read`, { cause, details: { key } })
}
