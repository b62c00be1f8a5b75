import { expect } from 'vitest'
import type { ChangeSet, Op, Store } from './store.ts'

/** A store for one test, empty under every prefix. */
export interface StoreWorld extends AsyncDisposable {
  readonly store: Store
  /** Lets the store's time pass: a fake clock jumps, a real one is waited for. */
  pass(byMs: number): Promise<void>
}

/** `untouched`: nothing was ever written to it, by another test neither. */
export type OpenWorld = (needs: { readonly untouched: boolean }) => Promise<StoreWorld>

/** Declares one test of the suite. */
export type It = (
  sentence: string,
  run: (world: StoreWorld) => Promise<void>,
  needs?: { readonly untouched: boolean },
) => void

/** The revision of a put, which must commit. */
export async function put(store: Store, key: string, value: string): Promise<number> {
  return committed(store, { kind: 'put', key, value })
}

/** The first `count` change sets of a watch, which is then ended. */
export async function take(
  store: Store,
  prefix: string,
  afterRevision: number,
  count: number,
): Promise<ChangeSet[]> {
  const stop = new AbortController()
  const sets: ChangeSet[] = []
  if (count === 0) return sets
  for await (const set of store.watch(prefix, afterRevision, stop.signal)) {
    if (sets.push(set) === count) stop.abort()
  }
  return sets
}

/** All change sets until the watch ends. */
export async function collect(watch: AsyncIterable<ChangeSet>): Promise<ChangeSet[]> {
  const sets: ChangeSet[] = []
  for await (const set of watch) sets.push(set)
  return sets
}

/** The revision of a put with a lease, which must commit. */
export function putWith(store: Store, key: string, leaseId: string): Promise<number> {
  return committed(store, { kind: 'put', key, value: '1', leaseId })
}

/** The revision of a delete, which must commit. */
export function remove(store: Store, key: string): Promise<number> {
  return committed(store, { kind: 'delete', key })
}

async function committed(store: Store, op: Op): Promise<number> {
  const result = await store.txn([], [op])
  expect(result.kind).toBe('committed')
  return result.revision
}

/** The present revision. */
export async function revisionOf(store: Store): Promise<number> {
  return (await store.list('')).revision
}
