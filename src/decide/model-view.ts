import type { Model, Rejection } from '../domain/model.ts'
import type { Replica, ReplicaStatus } from '../domain/replica.ts'

/** A replica as the model's controller sees it. */
export interface ReplicaView {
  readonly replica: Replica
  readonly status?: ReplicaStatus
  readonly node?: string
  /** Set when its node's lease has gone: since when. */
  readonly nodeLostSinceMs?: number
  /** The node was removed, or its agent came back without this replica after a stop was asked for. */
  readonly nodeGone: boolean
  /**
   * Somebody else runs it (engine `external`): nothing is placed or started, and it serves while it is wanted.
   * Absent: as the model's present spec has it.
   */
  readonly unmanaged?: boolean
  /** Its node takes no new replicas; it is the first to go when fewer are wanted. */
  readonly nodeCordoned?: boolean
  /** Why the scheduler has no place for it. */
  readonly rejections?: readonly Rejection[]
}

export interface ModelView {
  readonly model: Model
  /** Revision of the present spec. */
  readonly revision: string
  readonly replicas: readonly ReplicaView[]
  /** So many nodes vanished at once that the fault is likely ours: evict nothing. */
  readonly suspectSelf: boolean
  /** Why no replica can be made at all (source invalid, footprint unknown), when so. */
  readonly blocked?: { readonly reason: string; readonly message: string; readonly final: boolean }
}

export type ModelAction =
  /** `reason` becomes the replica's own: that it is a replacement bounds how often it is replaced. */
  | { readonly kind: 'create'; readonly revision: string; readonly reason: string }
  | { readonly kind: 'stop'; readonly replica: string; readonly reason: string }
  /** Delete its record, placement, status and endpoint. */
  | { readonly kind: 'forget'; readonly replica: string; readonly reason: string }
  /** The model was deleted and nothing of it is left. */
  | { readonly kind: 'remove_model' }

export interface Reconciled<Action> {
  readonly actions: readonly Action[]
  /** Look again at this time even when nothing changes. */
  readonly wakeAtMs?: number
}
