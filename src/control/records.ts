import { z } from 'zod'
import { JoinToken, Key } from '../domain/access.ts'
import { Event } from '../domain/event.ts'
import { SourceFacts } from '../domain/facts.ts'
import { Model, ModelStatus, Rejection, Revision } from '../domain/model.ts'
import { Name } from '../domain/names.ts'
import { Node, NodeStatus } from '../domain/node.ts'
import { Endpoint, Placement, Plan, Replica, ReplicaStatus } from '../domain/replica.ts'
import { defineTable } from '../store/tables.ts'
import { inHex, ofModel, plain } from './record-kind.ts'

/** A node's promise to beat again; vanishes with its store lease. Written by the heartbeat handler only. */
export const NodeLease = z.object({ node: Name, agentId: z.string(), leaseId: z.string() })
export type NodeLease = Readonly<z.infer<typeof NodeLease>>

/** What the leader last made of a node's lease. Kept so that a new leader neither repeats nor forgets it. */
export const NodeCondition = z.object({ node: Name, state: z.enum(['ready', 'lost']), sinceMs: z.number() })
export type NodeCondition = Readonly<z.infer<typeof NodeCondition>>

/** Why a replica has no place. Written by the schedule loop; goes when it is placed or forgotten. */
export const Unplaced = z.object({ replica: z.string(), sinceMs: z.number(), rejections: z.array(Rejection) })
export type Unplaced = Readonly<z.infer<typeof Unplaced>>

/** Who runs the loops. Its modRevision fences every write of the loops. */
export const Leader = z.object({ serverId: z.string(), sinceMs: z.number() })
export type Leader = Readonly<z.infer<typeof Leader>>

/** Which model owns each adapter's public name: one record, so that one compare guards all of them. */
export const AdapterNames = z.object({ owners: z.record(z.string(), z.string()) })
export type AdapterNames = Readonly<z.infer<typeof AdapterNames>>

/** Which key was the first that may manage. Written with it, so that two servers do not each make one. */
export const Bootstrap = z.object({ keyId: z.string(), atMs: z.number() })
export type Bootstrap = Readonly<z.infer<typeof Bootstrap>>

/** What all keys of ours begin with. */
export const ROOT = '/yard/v1/'

/** Everything that control keeps in the Store. Singletons have the name `only`. */
export const tables = {
  models: plain(defineTable({ kind: 'models', schema: Model, version: 1 })),
  modelStatus: plain(defineTable({ kind: 'model-status', schema: ModelStatus, version: 1 })),
  revisions: ofModel(defineTable({ kind: 'revisions', schema: Revision, version: 1 })),
  replicas: ofModel(defineTable({ kind: 'replicas', schema: Replica, version: 1 })),
  replicaStatus: ofModel(defineTable({ kind: 'replica-status', schema: ReplicaStatus, version: 1 })),
  placements: ofModel(defineTable({ kind: 'placements', schema: Placement, version: 1 })),
  unplaced: ofModel(defineTable({ kind: 'unplaced', schema: Unplaced, version: 1 })),
  plan: plain(defineTable({ kind: 'plan', schema: Plan, version: 1 })),
  endpoints: ofModel(defineTable({ kind: 'endpoints', schema: Endpoint, version: 1 })),
  nodes: plain(defineTable({ kind: 'nodes', schema: Node, version: 1 })),
  nodeStatus: plain(defineTable({ kind: 'node-status', schema: NodeStatus, version: 1 })),
  nodeLeases: plain(defineTable({ kind: 'node-leases', schema: NodeLease, version: 1 })),
  nodeConditions: plain(defineTable({ kind: 'node-conditions', schema: NodeCondition, version: 1 })),
  sources: plain(defineTable({ kind: 'sources', schema: SourceFacts, version: 1 })),
  adapterNames: plain(defineTable({ kind: 'adapter-names', schema: AdapterNames, version: 1 })),
  keys: inHex(defineTable({ kind: 'keys', schema: Key, version: 1 })),
  joinTokens: inHex(defineTable({ kind: 'join-tokens', schema: JoinToken, version: 1 })),
  events: plain(defineTable({ kind: 'events', schema: Event, version: 1 })),
  bootstrap: plain(defineTable({ kind: 'bootstrap', schema: Bootstrap, version: 1 })),
  leader: plain(defineTable({ kind: 'leader', schema: Leader, version: 1 })),
} as const

/** Name of the one record of a table that has one: `plan`, `leader`, `adapter-names`. */
export const ONLY = 'only'
