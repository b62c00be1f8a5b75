import type { Failure } from '../domain/replica.ts'
import type { ReplicaView } from './model-view.ts'

/**
 * What a replica is worth to its model.
 * `lost`: its node does not report, so nobody knows whether it serves. `coming`: on its way for the first time.
 * `shaky`: it has been further than that and does not serve now.
 */
export type Standing = 'unplaced' | 'coming' | 'shaky' | 'lost' | 'ready' | 'failed'

/** The standing of a replica that is meant to run. */
export function standingOf({ status, node, nodeLostSinceMs, unmanaged }: ReplicaView): Standing {
  if (unmanaged === true) return 'ready'
  if (status?.phase === 'failed') return 'failed'
  if (nodeLostSinceMs !== undefined) return 'lost'
  if (status === undefined) return node === undefined ? 'unplaced' : 'coming'
  switch (status.phase) {
    case 'ready':
      return 'ready'
    case 'pending':
    case 'pulling':
      return 'coming'
    case 'starting':
      return status.restarts === 0 ? 'coming' : 'shaky'
    default:
      return 'shaky'
  }
}

/** Order in which replicas are given up: what serves least first, on nodes that are going first, newest first. */
export function byWorth(a: ReplicaView, b: ReplicaView): number {
  return (
    worth(a) - worth(b) ||
    Number(onGoingNode(b)) - Number(onGoingNode(a)) ||
    progress(a) - progress(b) ||
    b.replica.createdAtMs - a.replica.createdAtMs ||
    (a.replica.name < b.replica.name ? 1 : -1)
  )
}

/** Oldest first, then by name, so that the same replica speaks for its model each time. */
export function byAge(a: ReplicaView, b: ReplicaView): number {
  return a.replica.createdAtMs - b.replica.createdAtMs || (a.replica.name < b.replica.name ? -1 : 1)
}

/** Why it failed; an agent that gave no reason is believed to have had a passing one. */
export function failureOf({
  status,
}: ReplicaView): Pick<Failure, 'reason' | 'message' | 'retryable' | 'deviceFault'> {
  return (
    status?.failure ?? {
      reason: 'failed',
      message: status?.message ?? 'its agent gave no reason; see its logs',
      retryable: true,
    }
  )
}

/** True when the device, not the model, is to blame. */
export function isDeviceFault(view: ReplicaView): boolean {
  if (standingOf(view) !== 'failed') return false
  const { reason, deviceFault } = failureOf(view)
  return deviceFault === true || reason === 'device_fault'
}

function worth(view: ReplicaView): number {
  const standing = standingOf(view)
  return standing === 'failed' ? 0 : standing === 'ready' ? 2 : 1
}

function onGoingNode({ nodeLostSinceMs, nodeCordoned }: ReplicaView): boolean {
  return nodeLostSinceMs !== undefined || nodeCordoned === true
}

const PROGRESS = ['pending', 'pulling', 'starting', 'stopped', 'draining', 'unhealthy', 'ready']

function progress({ status, node }: ReplicaView): number {
  return status === undefined ? (node === undefined ? -2 : -1) : PROGRESS.indexOf(status.phase)
}
