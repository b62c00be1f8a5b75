import type { ClusterView, NodeView } from '../decide/cluster-view.ts'
import { suspectSelf } from '../decide/index.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { type NodeCondition, tables } from './records.ts'
import type { Transaction } from './transaction.ts'

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
  return isSuspicious(cache.all(tables.nodeConditions).map((row) => row.value))
}

/**
 * True when nothing may be taken from nodes that are lost: we suspect ourselves, or would as soon as those that have
 * only just ceased to report are noted as lost too (a new leader gives each its time before it notes that).
 */
export function mayNotEvict(cache: ClusterCache): boolean {
  const known = cache.all(tables.nodeConditions).map((row) => row.name)
  const silent = known.filter((node) => !isReporting(cache, node))
  return suspectsSelf(cache) || suspectSelf(silent.length, known.length)
}

/**
 * Writes what becomes of a node's condition (`undefined`: it is forgotten). When that ends a suspicion of ourselves,
 * the nodes that are still lost get their time anew: until now nobody waited for them in earnest.
 */
export function writeCondition(
  cache: ClusterCache,
  transaction: Transaction,
  node: string,
  condition: NodeCondition | undefined,
  nowMs: number,
): void {
  const others = cache
    .all(tables.nodeConditions)
    .map((row) => row.value)
    .filter((other) => other.node !== node)
  if (condition) transaction.put(tables.nodeConditions, node, condition)
  else transaction.delete(tables.nodeConditions, node)
  if (!suspectsSelf(cache) || isSuspicious(condition ? [...others, condition] : others)) return
  for (const other of others) {
    if (other.state === 'ready' || transaction.room < 4) continue
    transaction.put(tables.nodeConditions, other.node, { ...other, sinceMs: nowMs })
  }
}

/** By the conditions alone, so that suspicion ends in the very transaction that gives the others their time. */
function isSuspicious(conditions: readonly NodeCondition[]): boolean {
  // A node that never reported has no condition: it says nothing about us.
  return suspectSelf(conditions.filter(({ state }) => state === 'lost').length, conditions.length)
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
