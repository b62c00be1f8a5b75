import type { Assignment, Failure } from '../domain/replica.ts'
import type { Reconciled } from './reconcile-model.ts'

/** A replica as its agent has it: what was recorded on disk and what the processes show. */
export interface LocalReplica {
  readonly replica: string
  readonly phase:
    | 'idle'
    | 'pulling'
    | 'starting'
    | 'ready'
    | 'unhealthy'
    | 'draining'
    | 'stopping'
    | 'stopped'
    | 'failed'
  readonly sinceMs: number
  /** Starts after the first. */
  readonly restarts: number
  readonly alive: boolean
  readonly failure?: Failure
  /** When the next start may be tried. */
  readonly retryAtMs?: number
}

export type NodeAction =
  | { readonly kind: 'start'; readonly replica: string }
  | { readonly kind: 'drain'; readonly replica: string }
  | { readonly kind: 'stop'; readonly replica: string; readonly reason: string }
  | { readonly kind: 'fail'; readonly replica: string; readonly reason: string; readonly message: string }
  /** Drop what is kept on disk about it. */
  | { readonly kind: 'forget'; readonly replica: string }

export interface NodeDecisionInput {
  readonly desired: readonly Assignment[]
  readonly actual: readonly LocalReplica[]
  /** False until control has answered once since the agent started: then nothing is stopped for not being desired. */
  readonly desiredKnown: boolean
  readonly nowMs: number
}

export type NodeDecision = Reconciled<NodeAction>
