import type { Engine, Exit, HttpCall, ProbeVerdict } from '../../engines/engine.ts'
import type { LineFeed } from '../logs/engine-logs.ts'
import type { ReplicaDeps } from './replica-deps.ts'
import type { ReplicaState } from './replica-state.ts'

/** How a run that is watched comes to its end. */
export type WatchEnd =
  | { readonly kind: 'exited'; readonly exit: Exit }
  | { readonly kind: 'hung'; readonly message: string }

export interface Watch {
  readonly deps: ReplicaDeps
  readonly state: ReplicaState
  readonly engine: Engine
  /** Resolves when the first process has ended. */
  readonly exited: Promise<Exit>
  readonly signal: AbortSignal
  /** Called with each change of phase; resolves when it is remembered. */
  readonly enter: (phase: 'ready' | 'unhealthy') => Promise<void>
  /** Called once when the engine first answers as ready, before `enter('ready')`. */
  readonly onReady: () => Promise<void>
}

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

/**
 * Watches a run from its start (or adoption) to its end: readiness first, then liveness. Rejects only when `signal`
 * aborts. An engine that was healthy once and then fails its liveness probe is unhealthy after `failuresToUnhealthy`
 * in a row and hung after twice as many.
 */
export async function watchEngine(watch: Watch): Promise<WatchEnd> {
  const { state, engine, deps } = watch
  const feed = deps.logs.feed(state.assignment.replica)
  let pauseMs = FIRST_PAUSE_MS
  let failures = 0
  // One that was adopted as ready is looked at at once.
  let nextMs = 0
  for (;;) {
    const exit = await orExit(watch, deps.clock.sleep(nextMs, watch.signal))
    if (exit) return { kind: 'exited', exit }
    if (state.phase === 'starting') {
      await readProgress(watch, feed)
      const verdict = await probe(watch, engine.readiness, engine.readReadiness)
      if (typeof verdict !== 'string') return { kind: 'exited', exit: verdict }
      if (verdict === 'ready') {
        await watch.onReady()
        await watch.enter('ready')
        nextMs = engine.liveness.everyMs
      } else {
        nextMs = pauseMs
        pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)
      }
      continue
    }
    const verdict = await probe(watch, engine.liveness, engine.readLiveness)
    if (typeof verdict !== 'string') return { kind: 'exited', exit: verdict }
    nextMs = engine.liveness.everyMs
    if (verdict === 'ready') {
      failures = 0
      if (state.phase === 'unhealthy') await watch.enter('ready')
      continue
    }
    failures++
    const limit = engine.liveness.failuresToUnhealthy
    if (failures >= limit && state.phase === 'ready') await watch.enter('unhealthy')
    if (failures >= limit * 2) {
      return { kind: 'hung', message: `it did not answer ${failures} health checks in a row` }
    }
  }
}

/** What the first process left behind, when it ends before `work` does. */
async function orExit(watch: Watch, work: Promise<unknown>): Promise<Exit | undefined> {
  return Promise.race([watch.exited, work.then(() => undefined)])
}

async function probe(
  { deps, state, engine, exited, signal }: Watch,
  call: HttpCall,
  read: Engine['readReadiness'],
): Promise<ProbeVerdict | Exit> {
  const ended = new AbortController()
  const ask = async () => {
    const both = AbortSignal.any([signal, ended.signal])
    const first = await deps.http(state.assignment, call, both)
    const elsewhere = first.kind === 'answer' && (first.status === 404 || first.status === 405)
    if (!elsewhere || !engine.fallbackProbe) return read(first)
    return read(await deps.http(state.assignment, engine.fallbackProbe, both))
  }
  const result = await Promise.race([exited, ask()])
  ended.abort()
  signal.throwIfAborted()
  return result
}

async function readProgress({ deps, state, engine }: Watch, feed: LineFeed): Promise<void> {
  let news = false
  for (const line of await feed.next()) {
    const step = engine.progress(line)
    if (!step) continue
    const { fraction, message } = step
    if (fraction !== undefined && fraction > (state.progress ?? 0)) {
      // Only what moves forward by a hundredth buys time, so a start can't be prolonged for ever.
      if (fraction - (state.progress ?? 0) >= 0.01) state.progressAtMs = deps.clock.now()
      state.progress = Math.min(1, fraction)
      news = true
    }
    if (message !== state.message) {
      state.message = message
      news = true
    }
  }
  if (news) deps.changed()
}
