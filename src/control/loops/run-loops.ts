import { errorText, isYardError } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { ControlContext } from '../context.ts'
import type { Term } from '../leader.ts'
import { endpointLoop } from './endpoint-loop.ts'
import { garbageLoop } from './garbage-loop.ts'
import type { Loop, LoopContext } from './loop.ts'
import { modelLoop } from './model-loop.ts'
import { nodeLoop } from './node-loop.ts'
import { scheduleLoop } from './schedule-loop.ts'

const CONCURRENCY = 4
const SEEN_WITHIN_MS = 30_000
/** A pass that lost against others is not a fault; it looks again soon. */
const BUSY_PAUSE_MS = 100

/** Runs all loops for one term. Ends when the term does; every write of theirs is fenced by it. */
export async function runLoops(context: ControlContext, term: Term): Promise<void> {
  const { cache, clock, metrics } = context
  // What the leader before us wrote is in the mirror once our own key is.
  const seen = await cache.waitUntil(() => cache.revision >= term.modRevision, SEEN_WITHIN_MS, term.signal)
  if (!seen) return
  await announce(context, term)
  const loopContext: LoopContext = { ...context, term }
  const loops = [nodeLoop, modelLoop, scheduleLoop, endpointLoop, garbageLoop].map((make) =>
    make(loopContext),
  )
  const running = loops.map((loop) => ({ loop, queue: queueOf(loopContext, loop) }))
  const stopListening = cache.onChange((changes) => {
    for (const { loop, queue } of running) {
      for (const change of changes) for (const key of loop.keysOf(change)) queue.add(key)
    }
  })
  metrics.read('yard_control_queue_depth', () =>
    running.map(({ loop, queue }) => ({ labels: { loop: loop.name }, value: queue.depth })),
  )
  for (const { loop, queue } of running) for (const key of loop.keys()) queue.add(key)
  try {
    await Promise.all(running.map(({ queue }) => queue.run(term.signal)))
  } finally {
    stopListening()
    metrics.read('yard_control_queue_depth', () => [])
  }

  function queueOf({ log, random }: LoopContext, loop: Loop): KeyedQueue {
    return new KeyedQueue({
      clock,
      random,
      concurrency: CONCURRENCY,
      async work(key) {
        metrics.count('yard_control_passes_total', { loop: loop.name })
        // To plan around a record that can't be read would be to plan as if it were not there.
        cache.assertReadable()
        try {
          return await loop.pass(key)
        } catch (error) {
          if (isYardError(error, 'unavailable') && error.reason === 'busy') {
            return { wakeAtMs: clock.now() + BUSY_PAUSE_MS }
          }
          throw error
        }
      },
      onFault(key, error, attempt) {
        metrics.count('yard_control_faults_total', { loop: loop.name })
        const code = isYardError(error) ? error.code : 'internal'
        log.warn('pass_failed', { loop: loop.name, key, attempt, code, error: errorText(error) })
      },
    })
  }
}

async function announce({ committer, serverId }: ControlContext, term: Term): Promise<void> {
  await committer.commit(
    'leader',
    (transaction) => {
      transaction.event({
        type: 'normal',
        object: { kind: 'server', name: serverId },
        reason: 'leading',
        message: 'runs the controllers from now on',
      })
    },
    term,
  )
}
