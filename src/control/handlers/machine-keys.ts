import type { ClusterCache } from '../cluster-cache.ts'
import { tables } from '../records.ts'

/** Ids of the keys that machines of this name have, the youngest first. A node has one, a gateway's name may have more. */
export function machineKeysOf(cache: ClusterCache, scope: 'node' | 'gateway', subject: string): string[] {
  return cache
    .all(tables.keys)
    .filter(({ value }) => value.subject === subject && value.scopes.includes(scope))
    .sort((left, right) => right.value.createdAtMs - left.value.createdAtMs)
    .map(({ name }) => name)
}
