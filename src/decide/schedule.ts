import type { Rejection } from '../domain/model.ts'
import type { Placement } from '../domain/replica.ts'
import type { ClusterView, ReplicaAsk } from './cluster-view.ts'
import { explain } from './explain.ts'
import { freePort, type NodeLedger, openLedger, take } from './node-ledger.ts'
import type { Random } from './random.ts'
import { findSeat, isBetterSeat, type Seat } from './seat.ts'

export type { ClusterView, NodeView, ReplicaAsk } from './cluster-view.ts'

export type PlacedReplica = Omit<Placement, 'planVersion'>

export interface SchedulePlan {
  readonly placed: readonly PlacedReplica[]
  readonly unplaced: readonly { readonly replica: string; readonly rejections: readonly Rejection[] }[]
}

/**
 * Finds a place for each ask, or says for every node why it has none. Asks go by priority, then age; each is placed
 * whole or not at all, and takes from what the next ones see. `random` decides only between equal nodes. An ask
 * must have no placement yet.
 */
export function schedule(asks: readonly ReplicaAsk[], cluster: ClusterView, random: Random): SchedulePlan {
  const ledgers = openLedgers(cluster)
  const placed: PlacedReplica[] = []
  const without: ReplicaAsk[] = []
  // Room only shrinks while a plan is made, so what found no place once finds none later.
  const hopeless = new Set<string>()
  for (const ask of [...asks].sort(byUrgency)) {
    const shape = shapeOf(ask)
    const seat = hopeless.has(shape) ? undefined : bestSeat(ask, ledgers, random)
    if (seat === undefined) {
      hopeless.add(shape)
      without.push(ask)
      continue
    }
    const replica = placedAt(ask, seat, random)
    take(seat.ledger, replica)
    placed.push(replica)
  }
  return { placed, unplaced: explained(without, ledgers) }
}

function openLedgers({ nodes, placements }: ClusterView): NodeLedger[] {
  const byNode = new Map<string, Placement[]>(nodes.map((node) => [node.name, []]))
  for (const placement of placements) byNode.get(placement.node)?.push(placement)
  return [...nodes]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((node) => openLedger(node, byNode.get(node.name) ?? []))
}

function byUrgency(a: ReplicaAsk, b: ReplicaAsk): number {
  return b.priority - a.priority || a.createdAtMs - b.createdAtMs || (a.replica < b.replica ? -1 : 1)
}

/** Equal for asks that fit in the same places. */
function shapeOf({ replica: _, priority: __, createdAtMs: ___, ...shape }: ReplicaAsk): string {
  return JSON.stringify(shape)
}

function bestSeat(ask: ReplicaAsk, ledgers: readonly NodeLedger[], random: Random): Seat | undefined {
  let best: Seat[] = []
  for (const ledger of ledgers) {
    const seat = findSeat(ask, ledger)
    if (seat === undefined) continue
    const [rival] = best
    if (rival === undefined || isBetterSeat(ask.strategy, seat, rival)) best = [seat]
    else if (!isBetterSeat(ask.strategy, rival, seat)) best.push(seat)
  }
  return best.length > 1 ? best[Math.floor(random() * best.length)] : best[0]
}

function placedAt(ask: ReplicaAsk, seat: Seat, random: Random): PlacedReplica {
  return {
    replica: ask.replica,
    model: ask.model,
    node: seat.ledger.node.name,
    deviceIds: [...seat.deviceIds],
    bytesPerDevice: ask.footprint.bytesPerDevice,
    hostMemoryBytes: ask.footprint.hostMemoryBytes,
    // The seat was found on a node with a free port, and nothing was taken since.
    port: freePort(seat.ledger, random) ?? seat.ledger.node.enginePorts.first,
  }
}

function explained(asks: readonly ReplicaAsk[], ledgers: readonly NodeLedger[]): SchedulePlan['unplaced'] {
  const byShape = new Map<string, Rejection[]>()
  return asks.map((ask) => {
    const shape = shapeOf(ask)
    const rejections = byShape.get(shape) ?? ledgers.flatMap((ledger) => explain(ask, ledger))
    byShape.set(shape, rejections)
    return { replica: ask.replica, rejections }
  })
}
