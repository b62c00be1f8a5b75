import type { Clock } from '../base/clock.ts'
import { DEFAULT_HISTORY, type HistoryBounds, Keyspace } from './keyspace.ts'
import { type Journal, KeyspaceStore } from './keyspace-store.ts'
import type { Store } from './store.ts'

/** A Store that forgets everything when it closes: for tests, the simulation and throw-away clusters. */
export function openMemoryStore(options: { clock: Clock; history?: HistoryBounds }): Store {
  const keyspace = new Keyspace(options.history ?? DEFAULT_HISTORY)
  return new KeyspaceStore({ keyspace, journal: forgetful, clock: options.clock, commitTimeoutMs: 10_000 })
}

const forgetful: Journal = {
  append: () => Promise.resolve(),
  close: () => Promise.resolve(),
}
