import type { Clock } from '../base/clock.ts'
import { within } from '../base/within.ts'
import type { SourceReport } from '../domain/facts.ts'
import type { ModelFiles } from './sources/model-files.ts'
import { untilAborted } from './until-aborted.ts'

const INSPECT_TIMEOUT_MS = 120_000
/** A report that control still asks for was lost, or what it said may have changed. */
const REPEAT_MS = 30_000
/** Sources looked at side by side. */
const SIDE_BY_SIDE = 4

/** Looks at the sources that control asks about, and reports each. */
export interface SourceInspector {
  /** The whole of what control asks about now; asking again costs nothing. */
  want(sources: readonly string[]): void
  /** Works until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** `report` may reject: the source is then looked at again later. */
export function createSourceInspector(deps: {
  readonly clock: Clock
  readonly models: ModelFiles
  readonly report: (source: string, report: SourceReport, signal: AbortSignal) => Promise<void>
  readonly pause: (timeoutMs: number, signal: AbortSignal) => Promise<unknown>
  readonly wake: () => void
}): SourceInspector {
  let wanted: readonly string[] = []
  const dueAtMs = new Map<string, number>()

  const inspect = async (source: string, signal: AbortSignal) => {
    dueAtMs.set(source, deps.clock.now() + REPEAT_MS)
    const report = await within(
      deps.clock,
      INSPECT_TIMEOUT_MS,
      untilAborted(signal, deps.models.inspect(source)),
      `${source} could not be read`,
    ).catch((error: Error): SourceReport => ({ kind: 'missing', message: error.message }))
    if (signal.aborted) return
    await deps.report(source, report, signal).catch(() => {})
  }

  return {
    want(sources) {
      wanted = [...new Set(sources)]
      for (const source of dueAtMs.keys()) if (!wanted.includes(source)) dueAtMs.delete(source)
      deps.wake()
    },
    async run(signal) {
      while (!signal.aborted) {
        const nowMs = deps.clock.now()
        const due = wanted.filter((source) => (dueAtMs.get(source) ?? 0) <= nowMs)
        await Promise.all(due.slice(0, SIDE_BY_SIDE).map((source) => inspect(source, signal)))
        if (due.length <= SIDE_BY_SIDE)
          await deps.pause(wanted.length > 0 ? REPEAT_MS : 600_000, signal).catch(() => {})
      }
    },
  }
}
