import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { errorText, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { within } from '../base/within.ts'
import type { Store } from '../store/store.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { ONLY, tables } from './records.ts'

/** A time of leading: writes of its loops compare `modRevision`; when it ends, `signal` aborts. */
export interface Term {
  readonly modRevision: number
  readonly startedAtMs: number
  readonly signal: AbortSignal
}

export interface ElectionDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly cache: ClusterCache
  /** Names this server for good; a restart under the same name takes its own unfinished term over at once. */
  readonly serverId: string
  readonly ttlMs?: number
}

const DEFAULT_TTL_MS = 10_000
const NO_ANSWER = 'the store did not answer'
/** For calls whose end nothing waits for. */
const LAST_CALL_MS = 2_000
const RETRY = { baseMs: 200, capMs: 5_000 }

/**
 * Leads whenever it can, until `signal` aborts: takes the leader's key with a lease, runs `lead` with the term and
 * keeps the lease alive. A term ends when the lease is gone, when another server has the key, when the store could
 * not be reached for a lease's time (counted from before the last successful call, so we stop before others start),
 * or when `lead` ends by itself.
 */
export async function runElection(
  deps: ElectionDeps,
  lead: (term: Term) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, log, cache, serverId } = deps
  const ttlMs = deps.ttlMs ?? DEFAULT_TTL_MS
  for (let attempt = 1; !signal.aborted; ) {
    try {
      const won = await campaign(deps, ttlMs)
      attempt = 1
      if (won) {
        log.info('leading', { serverId, term: won.modRevision })
        await hold(deps, won, lead, signal)
        log.info('leading_ended', { serverId, term: won.modRevision })
      } else {
        const vacant = () => {
          const leader = cache.get(tables.leader, ONLY)?.value.serverId
          return leader === undefined || leader === serverId
        }
        await cache.waitUntil(vacant, ttlMs, signal)
      }
    } catch (error) {
      log.warn('election_interrupted', { serverId, attempt, error: errorText(error) })
    }
    const pauseMs = backoffMs(attempt++, RETRY, random)
    if (!signal.aborted) await clock.sleep(pauseMs, signal).catch(() => {})
  }
}

interface Won {
  readonly leaseId: string
  readonly modRevision: number
  /** Monotonic: the lease can't have expired before. */
  readonly validUntilMs: number
}

async function campaign(deps: ElectionDeps, ttlMs: number): Promise<Won | undefined> {
  const { store, clock, serverId } = deps
  const key = tables.leader.key(ONLY)
  const entry = await within(clock, ttlMs, store.get(key), NO_ANSWER)
  if (entry && tables.leader.read(entry).serverId !== serverId) return undefined
  const validUntilMs = clock.monotonicMs() + ttlMs
  const leaseId = await within(clock, ttlMs, store.grantLease(ttlMs), NO_ANSWER)
  const release = () => within(clock, LAST_CALL_MS, store.revokeLease(leaseId), NO_ANSWER).catch(() => {})
  try {
    const put = tables.leader.put(ONLY, { serverId, sinceMs: clock.now() }, { leaseId })
    const taking = store.txn([{ key, modRevision: entry?.modRevision ?? 0 }], [put])
    const result = await within(clock, ttlMs, taking, NO_ANSWER)
    if (result.kind === 'committed') return { leaseId, modRevision: result.revision, validUntilMs }
  } catch (error) {
    // It may have been applied: then the key is ours, and goes with the lease.
    await release()
    throw error
  }
  await release()
  return undefined
}

async function hold(
  deps: ElectionDeps,
  won: Won,
  lead: (term: Term) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { store, clock, log, cache } = deps
  const ended = new AbortController()
  const end = () => ended.abort(new YardError('interrupted', 'this server no longer leads'))
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  const stopListening = cache.onChange(() => {
    const now = cache.get(tables.leader, ONLY)
    if (cache.revision >= won.modRevision && now?.modRevision !== won.modRevision) end()
  })
  const term: Term = { modRevision: won.modRevision, startedAtMs: clock.now(), signal: ended.signal }
  const keeping = keepLease(deps, won, ended.signal).finally(end)
  try {
    await lead(term)
  } catch (error) {
    if (!ended.signal.aborted) log.error('leading_failed', { error: errorText(error) })
  } finally {
    end()
    stopListening()
    signal.removeEventListener('abort', end)
    await keeping
    await within(clock, LAST_CALL_MS, store.revokeLease(won.leaseId), NO_ANSWER).catch(() => {})
  }
}

/** Resolves when the lease is lost or can't be counted on any more, or when `signal` aborts. */
async function keepLease(deps: ElectionDeps, won: Won, signal: AbortSignal): Promise<void> {
  const { store, clock, log } = deps
  const ttlMs = deps.ttlMs ?? DEFAULT_TTL_MS
  let validUntilMs = won.validUntilMs
  let pauseMs = ttlMs / 3
  while (!signal.aborted) {
    const leftMs = validUntilMs - clock.monotonicMs()
    if (leftMs <= 0) return
    await clock.sleep(Math.min(pauseMs, leftMs), signal).catch(() => {})
    if (signal.aborted) return
    const sentMs = clock.monotonicMs()
    try {
      const alive = await within(
        clock,
        Math.max(1, validUntilMs - sentMs),
        store.keepAlive(won.leaseId),
        NO_ANSWER,
      )
      if (!alive) return
      validUntilMs = sentMs + ttlMs
      pauseMs = ttlMs / 3
    } catch (error) {
      log.warn('lease_not_renewed', { leftMs: validUntilMs - sentMs, error: errorText(error) })
      pauseMs = ttlMs / 10
    }
  }
}
