import type { ClusterView, NodeView } from '../decide/cluster-view.ts'
import { suspectSelf } from '../decide/index.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { tables } from './records.ts'

/** True while a node's agent keeps its lease. */
export function isReporting(cache: ClusterCache, node: string): boolean {
  return cache.get(tables.nodeLeases, node) !== undefined
}

/** Nodes that report, in the order of their names. */
export function reportingNodes(cache: ClusterCache): string[] {
  return cache
    .all(tables.nodes)
    .map((row) => row.name)
    .filter((node) => isReporting(cache, node))
}

/** Since when a node is given up as lost; undefined while it reports, or while the leader still waits for it. */
export function lostSinceMs(cache: ClusterCache, node: string): number | undefined {
  if (isReporting(cache, node)) return undefined
  const condition = cache.get(tables.nodeConditions, node)?.value
  return condition?.state === 'lost' ? condition.sinceMs : undefined
}

/** True when so many nodes are lost at once that the fault is likely ours. */
export function suspectsSelf(cache: ClusterCache): boolean {
  // A node that never reported says nothing about us.
  const known = cache.all(tables.nodeConditions).map((row) => row.name)
  return suspectSelf(known.filter((node) => lostSinceMs(cache, node) !== undefined).length, known.length)
}

/** The cluster as the scheduler sees it. A node whose agent has not told what it has is left out. */
export function clusterView(cache: ClusterCache): ClusterView {
  return {
    nodes: cache.all(tables.nodes).flatMap((row) => nodeView(cache, row.name) ?? []),
    placements: cache.all(tables.placements).map((row) => row.value),
  }
}

function nodeView(cache: ClusterCache, name: string): NodeView | undefined {
  const node = cache.get(tables.nodes, name)?.value
  const status = cache.get(tables.nodeStatus, name)?.value
  if (node === undefined || status === undefined) return undefined
  const { devices, engines, enginePorts, takenPorts, occupancy } = status
  const ready = isReporting(cache, name)
  return {
    name,
    labels: node.labels,
    cordoned: node.cordoned,
    ready,
    devices,
    engines,
    enginePorts,
    takenPorts,
    occupancy,
  }
}
