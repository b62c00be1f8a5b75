import { GAP_SECONDS, Histogram, REQUEST_SECONDS } from './histogram.ts'
import { PrometheusText } from './prometheus-text.ts'

/** How a request ended. */
export type Outcome = 'ok' | 'refused' | 'failed' | 'client_closed'

/** What is counted for one model on one route. */
export class RouteCounts {
  readonly model: string
  readonly route: string
  /** By `code outcome`. */
  readonly ended = new Map<string, number>()
  readonly durationSeconds = new Histogram(REQUEST_SECONDS)
  readonly queueSeconds = new Histogram(REQUEST_SECONDS)
  readonly ttftSeconds = new Histogram(REQUEST_SECONDS)
  readonly gapSeconds = new Histogram(GAP_SECONDS)
  promptTokens = 0
  completionTokens = 0
  inFlight = 0

  constructor(model: string, route: string) {
    this.model = model
    this.route = route
  }

  end(status: number, outcome: Outcome): void {
    const key = `${status} ${outcome}`
    this.ended.set(key, (this.ended.get(key) ?? 0) + 1)
  }
}

/** What only the moment of a scrape knows. */
export interface Gauges {
  readonly queued: number
  readonly openConnections: number
  /** Absent while there is no view. */
  readonly view:
    | { readonly ageMs: number; readonly revision: number; readonly planVersion: number }
    | undefined
  readonly heldBodyBytes: number
  readonly lagMs: number
  readonly replicas: readonly {
    readonly replica: string
    readonly inFlight: number
    readonly ejected: boolean
  }[]
}

/** Counters of one gateway: plain numbers while it works, Prometheus text only when asked. */
export class Metrics {
  readonly #routes = new Map<string, Map<string, RouteCounts>>()
  readonly #rejected = new Map<string, number>()
  readonly #picks = new Map<string, number>()
  readonly #faults = new Map<string, number>()
  retries = 0
  viewErrors = 0

  /** The counts of a model on a route. `model` must be a known name, so that clients can't make series. */
  of(model: string, route: string): RouteCounts {
    let routes = this.#routes.get(model)
    if (routes === undefined) {
      routes = new Map()
      this.#routes.set(model, routes)
    }
    let counts = routes.get(route)
    if (counts === undefined) {
      counts = new RouteCounts(model, route)
      routes.set(route, counts)
    }
    return counts
  }

  reject(reason: string): void {
    bump(this.#rejected, reason)
  }

  pick(reason: string): void {
    bump(this.#picks, reason)
  }

  fault(kind: string): void {
    bump(this.#faults, kind)
  }

  /** Drops the series of names that are gone, once there are more than a thousand. */
  prune(known: ReadonlyMap<string, unknown>): void {
    for (const model of this.#routes.keys()) {
      if (this.#routes.size <= MOST_MODELS) return
      if (!known.has(model)) this.#routes.delete(model)
    }
  }

  render(gauges: Gauges): string {
    const text = new PrometheusText()
    const all = [...this.#routes.values()].flatMap((routes) => [...routes.values()])
    text.family('yard_gateway_requests_total', 'counter', 'Requests by how they ended')
    for (const counts of all) {
      for (const [key, value] of counts.ended) {
        const [code = '', outcome = ''] = key.split(' ')
        text.sample({ model: counts.model, route: counts.route, code, outcome }, value)
      }
    }
    text.family('yard_gateway_inflight', 'gauge', 'Requests that are being served')
    for (const counts of all) text.sample({ model: counts.model, route: counts.route }, counts.inFlight)
    text.family('yard_gateway_tokens_total', 'counter', 'Tokens as the engines counted them')
    for (const { model, route, promptTokens, completionTokens } of all) {
      text.sample({ model, route, direction: 'prompt' }, promptTokens)
      text.sample({ model, route, direction: 'completion' }, completionTokens)
    }
    text.histograms(
      'yard_gateway_request_duration_seconds',
      'Whole requests',
      all,
      (counts) => counts.durationSeconds,
    )
    text.histograms('yard_gateway_queue_seconds', 'Waits for a replica', all, (counts) => counts.queueSeconds)
    text.histograms(
      'yard_gateway_ttft_seconds',
      'From the request to the first output of a stream',
      all,
      (counts) => counts.ttftSeconds,
    )
    text.histograms(
      'yard_gateway_itl_seconds',
      'Between two reads of a stream',
      all,
      (counts) => counts.gapSeconds,
    )
    text.counters(
      'yard_gateway_rejected_total',
      'Requests that were answered without an engine',
      'reason',
      this.#rejected,
    )
    text.counters(
      'yard_gateway_upstream_faults_total',
      'Tries that failed, by what went wrong',
      'kind',
      this.#faults,
    )
    text.counters('yard_router_pick_total', 'Choices of a replica, by why', 'reason', this.#picks)
    text.single('yard_gateway_retries_total', 'counter', 'Tries after the first', this.retries)
    text.single('yard_gateway_queued', 'gauge', 'Requests that wait for a replica', gauges.queued)
    text.single(
      'yard_gateway_upstream_connections',
      'gauge',
      'Open connections to upstreams',
      gauges.openConnections,
    )
    text.single('yard_gateway_held_body_bytes', 'gauge', 'Request bodies in memory', gauges.heldBodyBytes)
    text.single(
      'yard_gateway_event_loop_lag_seconds',
      'gauge',
      'Worst delay of a timer since the last scrape',
      gauges.lagMs / 1000,
    )
    text.single('yard_gateway_view_errors_total', 'counter', 'Polls of the view that failed', this.viewErrors)
    if (gauges.view !== undefined) {
      text.single(
        'yard_gateway_snapshot_age_seconds',
        'gauge',
        'Since the view was last confirmed',
        gauges.view.ageMs / 1000,
      )
      text.single('yard_gateway_view_revision', 'gauge', 'Revision of the view', gauges.view.revision)
      text.single(
        'yard_gateway_plan_version',
        'gauge',
        'Plan that the view comes from',
        gauges.view.planVersion,
      )
    }
    text.family('yard_gateway_replica_inflight', 'gauge', 'Requests of this gateway at each replica')
    for (const { replica, inFlight } of gauges.replicas) text.sample({ replica }, inFlight)
    text.family('yard_gateway_replica_ejected', 'gauge', '1 while a replica is left alone after failures')
    for (const { replica, ejected } of gauges.replicas) text.sample({ replica }, ejected ? 1 : 0)
    return text.text
  }
}

const MOST_MODELS = 1_000

function bump(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
