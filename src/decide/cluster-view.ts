import type { Footprint } from '../domain/footprint.ts'
import type { Labels } from '../domain/names.ts'
import type { Device, LocalOccupancy, PortRange } from '../domain/node.ts'
import type { Placement } from '../domain/replica.ts'

/** A replica that wants a place. */
export interface ReplicaAsk {
  readonly replica: string
  readonly model: string
  readonly engine: string
  readonly footprint: Footprint
  readonly nodeSelector: Labels
  readonly strategy: 'spread' | 'pack'
  /** Higher goes first; among equals the older ask. */
  readonly priority: number
  readonly createdAtMs: number
  /** Nodes known to have the source, and nodes known not to; absent when any node will do. */
  readonly sourceOn?: { readonly found: readonly string[]; readonly missing: readonly string[] }
  /** Nodes not to use again for this model just now, with the reason (a device fault, a failed start). */
  readonly avoidNodes: readonly string[]
}

export interface NodeView {
  readonly name: string
  readonly labels: Labels
  readonly cordoned: boolean
  /** Its lease is alive. */
  readonly ready: boolean
  readonly devices: readonly Device[]
  readonly engines: readonly string[]
  readonly enginePorts: PortRange
  readonly takenPorts: readonly number[]
  /** What its agent has on it, wanted or not; counted beside the plan until it is gone. */
  readonly occupancy: readonly LocalOccupancy[]
}

export interface ClusterView {
  readonly nodes: readonly NodeView[]
  readonly placements: readonly Placement[]
}
