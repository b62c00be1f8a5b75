import type { Endpoint } from '../domain/replica.ts'

export interface RequestFacts {
  /** The public name asked for. */
  readonly model: string
  /** Replicas already tried for this request. */
  readonly avoid: readonly string[]
}

/** What a gateway knows of one replica's load. Its own counts; taken before dispatch. */
export interface Load {
  readonly inFlight: number
  /** Monotonic order of last use, for ties. */
  readonly lastUsed: number
  /** Not to be used now (breaker open). */
  readonly ejected: boolean
}

export interface RoutingView {
  /** Endpoints that serve a public name (a model's or an adapter's); undefined when the name is unknown. */
  endpointsOf(model: string): readonly Endpoint[] | undefined
  load(replica: string): Load
}

export type RouteDecision =
  | {
      readonly kind: 'send'
      readonly endpoint: Endpoint
      readonly because: 'least_in_flight' | 'only_one' | 'all_ejected'
    }
  | { readonly kind: 'wait'; readonly reason: 'no_ready_endpoint' | 'saturated' }
  | { readonly kind: 'reject'; readonly reason: 'model_not_found' | 'all_tried' }
