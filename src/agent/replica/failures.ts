import type { Failure } from '../../domain/replica.ts'
import { FAILURE_REASONS, plainLine } from '../../engines/failure-classes.ts'

/** Reasons that the agent itself finds, and whether the same start may succeed later. */
const AGENT_REASONS: Readonly<Record<string, boolean>> = {
  hung: true,
  start_timeout: true,
  node_restarted: true,
  not_recorded: true,
  not_allowed: false,
}

/** A failure that no engine's output explains. */
export function failureFor(reason: string, message: string, lastLines: readonly string[] = []): Failure {
  const known = (FAILURE_REASONS as Readonly<Record<string, { retryable: boolean; deviceFault: boolean }>>)[
    reason
  ]
  return {
    reason,
    message,
    retryable: known?.retryable ?? AGENT_REASONS[reason] ?? true,
    ...(known?.deviceFault ? { deviceFault: true } : {}),
    lastLines: lastLines.slice(-30).map((line) => plainLine(line).slice(0, 1_000)),
  }
}

/**
 * What an exit means beyond the engine's own words. A kill that the kernel did for want of memory is told as such. An
 * engine that had been ready has shown that its start can succeed, so it is started again unless its device is to
 * blame.
 */
export function judgedFailure(
  failure: Failure,
  seen: { readonly memoryKills: number; readonly wasReady: boolean },
): Failure {
  const byKernel = failure.reason === 'killed' && failure.signal === 'SIGKILL' && seen.memoryKills > 0
  const named = byKernel
    ? {
        ...failure,
        reason: 'out_of_host_memory',
        message:
          'the kernel killed the engine because the machine (or its container) ran out of memory; give the model less concurrency or context, or more resources.hostMemoryBytes',
      }
    : failure
  return { ...named, retryable: named.retryable || (seen.wasReady && named.deviceFault !== true) }
}
