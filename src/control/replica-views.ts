import type { ReplicaView } from '../decide/index.ts'
import type { Replica, ReplicaStatus } from '../domain/replica.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { isReporting, lostSinceMs } from './cluster-state.ts'
import { tables } from './records.ts'

/** An agent that was told to stop a replica and does not mention it for this long does not have it. */
export const UNMENTIONED_MS = 10_000

/** The replicas of a model as its controller and the scheduler see them. */
export function replicaViews(cache: ClusterCache, model: string, nowMs: number): ReplicaView[] {
  return cache
    .all(tables.replicas)
    .filter((row) => row.value.model === model)
    .map((row) => replicaView(cache, row.value, nowMs))
}

/** When the answer to whether a replica's node still has it may change by itself; undefined when it may not. */
export function unmentionedAtMs(cache: ClusterCache, replica: Replica, nowMs: number): number | undefined {
  if (replica.stopAtMs === undefined || cache.get(tables.replicaStatus, replica.name)) return undefined
  const atMs = replica.stopAtMs + UNMENTIONED_MS
  return atMs > nowMs ? atMs : undefined
}

function replicaView(cache: ClusterCache, replica: Replica, nowMs: number): ReplicaView {
  if (isExternal(cache, replica)) return { replica, status: externalStatus(replica), nodeGone: false }
  const placement = cache.get(tables.placements, replica.name)?.value
  const unplaced = cache.get(tables.unplaced, replica.name)?.value
  if (placement === undefined) {
    return { replica, nodeGone: false, ...(unplaced ? { rejections: unplaced.rejections } : {}) }
  }
  const status = cache.get(tables.replicaStatus, replica.name)?.value
  const node = cache.get(tables.nodes, placement.node)?.value
  const lostMs = lostSinceMs(cache, placement.node)
  return {
    replica,
    node: placement.node,
    nodeGone: node === undefined || isUnmentioned(cache, replica, placement.node, nowMs),
    ...(status?.planVersion === placement.planVersion ? { status } : {}),
    ...(node?.cordoned ? { nodeCordoned: true } : {}),
    ...(lostMs === undefined ? {} : { nodeLostSinceMs: lostMs }),
  }
}

/** True when a node that reports has had time to mention a replica that is to stop, and does not. */
function isUnmentioned(cache: ClusterCache, replica: Replica, node: string, nowMs: number): boolean {
  if (replica.stopAtMs === undefined || nowMs < replica.stopAtMs + UNMENTIONED_MS) return false
  if (!isReporting(cache, node) || cache.get(tables.replicaStatus, replica.name)) return false
  const occupancy = cache.get(tables.nodeStatus, node)?.value.occupancy ?? []
  return !occupancy.some((local) => local.replica === replica.name)
}

function isExternal(cache: ClusterCache, replica: Replica): boolean {
  return cache.get(tables.revisions, replica.revision)?.value.template.engine === 'external'
}

/** Nobody reports on a service that somebody else runs: gateways find out whether it answers. */
function externalStatus(replica: Replica): ReplicaStatus {
  return {
    replica: replica.name,
    node: 'external',
    planVersion: 0,
    phase: replica.intent === 'run' ? 'ready' : 'stopped',
    sinceMs: replica.stopAtMs ?? replica.createdAtMs,
    restarts: 0,
    adapters: [],
  }
}
