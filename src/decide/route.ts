import type { Endpoint } from '../domain/replica.ts'
import type { Random } from './random.ts'

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

/** A replica queues inside itself; beyond this many times what it serves at once, more only wait longer there. */
const SATURATED_AT = 2

const NOT_FOUND: RouteDecision = Object.freeze({ kind: 'reject', reason: 'model_not_found' })
const ALL_TRIED: RouteDecision = Object.freeze({ kind: 'reject', reason: 'all_tried' })
const NONE_READY: RouteDecision = Object.freeze({ kind: 'wait', reason: 'no_ready_endpoint' })
const SATURATED: RouteDecision = Object.freeze({ kind: 'wait', reason: 'saturated' })

/**
 * The endpoint for one request: of the ready ones not yet tried, that with the fewest requests in flight, then the
 * one used longest ago. Ejected ones are left out unless all are. One pass, one allocation: this is asked for each
 * request and again at each wake, never remembered.
 */
export function route(facts: RequestFacts, view: RoutingView, random: Random): RouteDecision {
  const endpoints = view.endpointsOf(facts.model)
  if (endpoints === undefined) return NOT_FOUND
  let ready = 0
  let untried = 0
  let healthy = 0
  let best: Endpoint | undefined
  let bestInFlight = 0
  let bestLastUsed = 0
  let bestEjected = false
  let ties = 0
  for (let index = 0; index < endpoints.length; index++) {
    const endpoint = endpoints[index]
    if (endpoint === undefined || endpoint.state !== 'ready') continue
    ready++
    if (facts.avoid.includes(endpoint.replica)) continue
    untried++
    const { inFlight, lastUsed, ejected } = view.load(endpoint.replica)
    if (!ejected) healthy++
    if (endpoint.maxConcurrency !== undefined && inFlight >= endpoint.maxConcurrency * SATURATED_AT) continue
    const order =
      best === undefined
        ? -1
        : Number(ejected) - Number(bestEjected) || inFlight - bestInFlight || lastUsed - bestLastUsed
    if (order > 0) continue
    ties = order === 0 ? ties + 1 : 1
    // Each of n equals is kept with probability 1/n, without a list of them.
    if (order === 0 && random() * ties >= 1) continue
    best = endpoint
    bestInFlight = inFlight
    bestLastUsed = lastUsed
    bestEjected = ejected
  }
  if (ready === 0) return NONE_READY
  if (untried === 0) return ALL_TRIED
  if (best === undefined || (bestEjected && healthy > 0)) return SATURATED
  return {
    kind: 'send',
    endpoint: best,
    because: bestEjected ? 'all_ejected' : untried === 1 ? 'only_one' : 'least_in_flight',
  }
}
