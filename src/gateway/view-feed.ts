import type { Client } from '../api/client.ts'
import { GatewayView } from '../api/objects.ts'
import { operations } from '../api/operations.ts'
import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { errorText } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { ViewCache } from './view-cache.ts'

export interface ViewFeedDeps {
  readonly control: Pick<Client, 'call'>
  readonly cache: ViewCache | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly waitMs: number
  /** Takes a view over, whole. `confirmed`: control said it just now; a copy from disk is not. */
  readonly apply: (view: GatewayView, confirmed: boolean) => void
  /** The store of control was begun anew: what was known of plan versions is void. */
  readonly historyRestarted: () => void
  /** Control answered that nothing is newer. */
  readonly confirm: () => void
  readonly failed: () => void
}

/**
 * Keeps the view up to date until `signal` aborts: the copy on disk first, then long polls of control. While control
 * is away it only waits longer between tries; what was last known goes on being served.
 */
export async function followView(deps: ViewFeedDeps, signal: AbortSignal): Promise<void> {
  await loadCopy(deps)
  let revision: number | undefined
  let failures = 0
  let older = 0
  while (!signal.aborted) {
    const beganMs = deps.clock.monotonicMs()
    try {
      const view = await poll(deps, revision, signal)
      failures = 0
      const isOlder = revision !== undefined && view.revision < revision
      older = isOlder ? older + 1 : 0
      if (view.revision === revision || (isOlder && older < OLDER_TO_BELIEVE)) {
        if (!isOlder) deps.confirm()
        // A server that does not hold the poll must not be asked in a tight loop.
        const tookMs = deps.clock.monotonicMs() - beganMs
        if (tookMs < LEAST_POLL_MS) await deps.clock.sleep(LEAST_POLL_MS, signal)
        continue
      }
      if (isOlder) {
        deps.log.warn('view_history_restarted', { revision: view.revision, before: revision })
        deps.historyRestarted()
      }
      older = 0
      revision = view.revision
      deps.apply(view, true)
      await keepCopy(deps, view)
    } catch (error) {
      if (signal.aborted) return
      failures++
      deps.failed()
      deps.log.warn('view_poll_failed', { message: errorText(error), failures })
      await deps.clock.sleep(backoffMs(failures, RETRY, deps.random), signal).catch(() => {})
    }
  }
}

const RETRY = { baseMs: 200, capMs: 10_000 }
/** Beyond the wait of a long poll, before it is given up. */
const POLL_GRACE_MS = 10_000
const LEAST_POLL_MS = 500
/**
 * A server that lags answers with an older view once; one whose store was begun anew does so each time, after a
 * whole wait. After so many in a row it is the latter.
 */
const OLDER_TO_BELIEVE = 3

async function poll(
  deps: ViewFeedDeps,
  revision: number | undefined,
  signal: AbortSignal,
): Promise<GatewayView> {
  const abort = new AbortController()
  const onAbort = () => abort.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const timer = deps.clock.after(deps.waitMs + POLL_GRACE_MS, () =>
    abort.abort(new Error('the poll took too long')),
  )
  try {
    // The copy on disk may be of another history, so the first poll asks for all there is, now.
    const query = { after: revision ?? 0, waitMs: revision === undefined ? 0 : deps.waitMs }
    const answer = await deps.control.call(operations.gatewayView, { query }, { signal: abort.signal })
    return GatewayView.parse(answer)
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

async function loadCopy({ cache, apply, log }: ViewFeedDeps): Promise<void> {
  try {
    const text = await cache?.read()
    if (text === undefined) return
    const view = GatewayView.parse(JSON.parse(text))
    apply(view, false)
    log.info('view_loaded_from_disk', { revision: view.revision })
  } catch (error) {
    log.warn('view_copy_unusable', { message: errorText(error).slice(0, 200) })
  }
}

async function keepCopy({ cache, log }: ViewFeedDeps, view: GatewayView): Promise<void> {
  try {
    await cache?.write(JSON.stringify(view))
  } catch (error) {
    log.error('view_copy_not_written', { message: errorText(error) })
  }
}
