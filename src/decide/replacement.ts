import type { ReplicaView } from './model-view.ts'
import { failureOf, isDeviceFault, standingOf } from './replica-standing.ts'

/** How long after a failure a replacement is made, so that a fault that passes may pass. */
export const REPLACE_AFTER_MS = 30_000
/** A replacement that lasted this long has shown that it can run; it may be replaced as if it were the first. */
export const STABLE_MS = 3_600_000

/**
 * What becomes of a failed replica. Its agent has already restarted it as often as makes sense, so one replacement
 * is all that a second look at the same thing deserves.
 * `final`: kept, with its reason, until the spec changes. `waits`: replaced at `atMs`. `replace`: now.
 * `remember`: another one takes its place at once, and its record tells the scheduler which node to avoid.
 */
export type FailedFate =
  | { readonly kind: 'final' | 'replace' | 'remember' }
  | { readonly kind: 'waits'; readonly atMs: number }

export function fateOf(view: ReplicaView, nowMs: number): FailedFate {
  const { replica, status } = view
  const failedAtMs = status?.sinceMs ?? replica.createdAtMs
  const spent = replica.reason === REPLACE_FAILED && failedAtMs - replica.createdAtMs < STABLE_MS
  if (spent) return { kind: 'final' }
  if (isDeviceFault(view)) return { kind: 'remember' }
  const failure = failureOf(view)
  if (!failure.retryable) return { kind: 'final' }
  // Its place was no good, not the replica: the next one gets another port.
  if (failure.reason === 'port_in_use') return { kind: 'replace' }
  const atMs = failedAtMs + REPLACE_AFTER_MS
  return atMs <= nowMs ? { kind: 'replace' } : { kind: 'waits', atMs }
}

/** Reason of a replica made in place of a failed one. */
export const REPLACE_FAILED = 'replace_failed'

/** Nodes that this model's new replicas should keep away from: a device of theirs failed it. For `ReplicaAsk`. */
export function nodesToAvoid(replicas: readonly ReplicaView[]): string[] {
  const nodes = replicas
    .filter((view) => standingOf(view) === 'failed' && isDeviceFault(view))
    .flatMap((view) => view.node ?? [])
  return [...new Set(nodes)].sort()
}
