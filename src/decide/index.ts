export { type AccessDecision, authorize, type Permission } from './authorize.ts'
export {
  type Breaker,
  type BreakerOutcome,
  breakerAfter,
  breakerOnSend,
  breakerOutcome,
  CLOSED_BREAKER,
  isEjected,
} from './breaker.ts'
export { bytesText } from './bytes-text.ts'
export { type EndpointFacts, endpointOf } from './endpoint-of.ts'
export { type Estimate, estimate } from './estimate.ts'
export type { AdapterFacts } from './need.ts'
export type { Random } from './random.ts'
export {
  type ModelAction,
  type ModelDecision,
  type ModelView,
  NODE_LOST_GRACE_MS,
  type Reconciled,
  type ReplicaView,
  ROLLOUT_NO_ROOM_MS,
  reconcileModel,
  suspectSelf,
} from './reconcile-model.ts'
export {
  DRAIN_SETTLE_MS,
  type LocalReplica,
  MAX_RESTARTS,
  type NodeAction,
  type NodeDecision,
  type NodeDecisionInput,
  reconcileNode,
  restartDelayMs,
  restartWindowMs,
} from './reconcile-node.ts'
export { nodesToAvoid, REPLACE_AFTER_MS, REPLACE_FAILED, STABLE_MS } from './replacement.ts'
export {
  type Attempt,
  type AttemptEnd,
  MAX_ATTEMPTS,
  type RetryBudget,
  type RetryDecision,
  retry,
} from './retry.ts'
export { type Load, type RequestFacts, type RouteDecision, type RoutingView, route } from './route.ts'
export {
  type ClusterView,
  type NodeView,
  type PlacedReplica,
  type ReplicaAsk,
  type SchedulePlan,
  schedule,
} from './schedule.ts'
export {
  DEFAULT_CONTEXT_TOKENS,
  DEFAULT_MAX_CONCURRENCY,
  type ServingLimits,
  servingLimits,
} from './serving-limits.ts'
export { factsOf, type InspectedSource, sourcesOn, whyBlocked } from './source-standing.ts'
