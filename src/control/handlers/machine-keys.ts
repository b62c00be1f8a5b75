import type { ClusterCache } from '../cluster-cache.ts'
import { tables } from '../records.ts'

/** Ids of the keys that a machine has: one, but for a moment of its registering again. */
export function machineKeysOf(cache: ClusterCache, scope: 'node' | 'gateway', subject: string): string[] {
  return cache
    .all(tables.keys)
    .filter(({ value }) => value.subject === subject && value.scopes.includes(scope))
    .map(({ name }) => name)
}
