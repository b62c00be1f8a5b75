import type { Clock } from '../../base/clock.ts'
import type { StopStep } from '../../engines/engine.ts'
import type { EngineRun, Spawner } from '../processes/spawner.ts'

/** Processes left behind by a first process that has ended get this long to notice it. */
const ORPHANS_MS = 2_000
const LAST_STEP: StopStep = { signal: 'SIGKILL', waitMs: 5_000 }

/**
 * Ends all processes of a run by the engine's own steps and returns when none is left, never before: whoever gets their
 * devices next finds them free. A process that a driver holds can outlast SIGKILL; `onStuck` is told, and it goes on.
 */
export async function stopEngine(
  deps: { readonly spawner: Spawner; readonly clock: Clock },
  run: EngineRun,
  steps: readonly StopStep[],
  options: { readonly signal: AbortSignal; readonly onStuck: () => void },
): Promise<void> {
  const { spawner } = deps
  for (const step of steps) {
    if ((await spawner.members(run)).length === 0) return
    await spawner.signal(run, step.signal)
    if (await goneWithin(deps, run, step, options.signal)) return
  }
  for (;;) {
    if ((await spawner.members(run)).length === 0) return
    await spawner.signal(run, 'SIGKILL')
    if (await goneWithin(deps, run, LAST_STEP, options.signal)) return
    options.onStuck()
  }
}

async function goneWithin(
  { spawner, clock }: { readonly spawner: Spawner; readonly clock: Clock },
  run: EngineRun,
  step: StopStep,
  signal: AbortSignal,
): Promise<boolean> {
  let deadlineMs = clock.monotonicMs() + step.waitMs
  let firstGone = false
  for (let pauseMs = 20; ; pauseMs = Math.min(500, pauseMs * 1.5)) {
    if ((await spawner.members(run)).length === 0) return true
    const nowMs = clock.monotonicMs()
    if (nowMs >= deadlineMs) return false
    if (!firstGone && run.process && !(await spawner.isAlive(run.process))) {
      firstGone = true
      deadlineMs = Math.min(deadlineMs, nowMs + ORPHANS_MS)
    }
    await clock.sleep(Math.min(pauseMs, Math.max(1, deadlineMs - nowMs)), signal)
  }
}
