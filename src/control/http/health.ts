import type { ClusterCache } from '../cluster-cache.ts'
import { ONLY, tables } from '../records.ts'

/** A store that has not answered for this long counts as out of reach. */
const CONTACT_MAX_AGE_MS = 15_000

export interface Readiness {
  readonly ready: boolean
  readonly checks: Readonly<Record<'store' | 'leader' | 'cache' | 'records', 'ok' | 'failed'>>
}

/** Whether requests to this server can be served well: each condition by name, and nothing more about it. */
export function readiness(cache: ClusterCache): Readiness {
  const { synced, connected, contactAgeMs } = cache.freshness()
  const reachable = contactAgeMs !== undefined && contactAgeMs <= CONTACT_MAX_AGE_MS
  const checks = {
    store: reachable ? 'ok' : 'failed',
    leader: cache.get(tables.leader, ONLY) === undefined ? 'failed' : 'ok',
    cache: synced && connected && reachable ? 'ok' : 'failed',
    records: cache.unreadable === 0 ? 'ok' : 'failed',
  } as const
  return { ready: Object.values(checks).every((check) => check === 'ok'), checks }
}
