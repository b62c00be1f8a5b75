import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Principal } from '../domain/access.ts'
import { errorAnswer } from './answer-headers.ts'
import { ClientAnswer } from './client-answer.ts'
import type { Core, InFlight } from './core.ts'
import type { GatewayError } from './gateway-error.ts'
import type { Outcome, RouteCounts } from './metrics.ts'
import type { RequestHead } from './request-head.ts'
import type { Usage } from './stream-event.ts'

/** Whoever has the request now. Each call may come in any of its states, and at most once. */
export interface Stage {
  clientLeft(): void
  expire(nowMs: number): void
  cutOff(): void
  /** There is a new view. Stages that have sent nothing anywhere need not care. */
  viewChanged?(): void
}

/**
 * One request from its head to its last byte: its deadline, the stage it is in, and what is to be told of it. Ends
 * once, with one log line and one count, whichever of answer, failure and departure comes first.
 */
export class Account implements InFlight {
  deadlineAtMs: number
  place = -1
  stage: Stage | undefined
  readonly client: ClientAnswer
  readonly requestId: string
  readonly traceparent: string
  readonly startedMs: number
  /** When the client's or the gateway's patience is over. */
  readonly totalAtMs: number
  principal: Principal | undefined
  model: string | undefined
  stream = false
  replica: string | undefined
  attempts = 0
  queuedMs = 0
  requestBytes = 0
  responseBytes = 0
  firstOutputMs: number | undefined
  usage: Usage | undefined
  readonly #core: Core
  readonly #route: string
  #counts: RouteCounts | undefined
  #heldBytes = 0
  #over = false

  constructor(core: Core, route: string, response: ServerResponse, head: RequestHead, totalMs: number) {
    this.#core = core
    this.#route = route
    this.client = new ClientAnswer(response, core.clock)
    this.requestId = head.requestId ?? core.ids.requestId()
    this.traceparent = head.traceparent ?? core.ids.traceparent()
    this.startedMs = core.clock.monotonicMs()
    this.totalAtMs = this.startedMs + totalMs
    this.deadlineAtMs = this.totalAtMs
    core.inFlight.add(this)
    response.on('close', () => {
      if (!this.#over) this.stage?.clientLeft()
    })
  }

  get over(): boolean {
    return this.#over
  }

  expire(nowMs: number): void {
    if (!this.#over) this.stage?.expire(nowMs)
  }

  cutOff(): void {
    if (!this.#over) this.stage?.cutOff()
  }

  viewChanged(): void {
    if (!this.#over) this.stage?.viewChanged?.()
  }

  isOn(socket: Duplex): boolean {
    return this.client.isOn(socket)
  }

  /** From here on the request counts for a model, which must be a known name. */
  countFor(model: string): void {
    this.model = model
    this.#counts = this.#core.metrics.of(model, this.#route)
    this.#counts.inFlight++
  }

  hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#core.heldBodyBytes += bytes
  }

  /** The body is not needed any more. */
  letGo(): void {
    this.#core.heldBodyBytes -= this.#heldBytes
    this.#heldBytes = 0
  }

  gap(ms: number): void {
    this.#counts?.gapSeconds.observe(ms / 1000)
  }

  /** Answers with an error and ends. `unread`: a body may still be coming that nobody wants. */
  refuse(
    error: GatewayError,
    more: { source?: 'gateway' | 'engine'; problem?: string; unread?: boolean } = {},
  ): void {
    if (this.#over) return
    const source = more.source ?? 'gateway'
    const closing = this.#core.state !== 'serving'
    const { headers, text } = errorAnswer(error, { requestId: this.requestId, source, closing })
    if (this.attempts > 0) headers.push('x-yard-attempts', String(this.attempts))
    this.responseBytes = text.length
    if (more.unread === true) this.client.refuse(error.status, headers, text)
    else this.client.whole(error.status, headers, text)
    if (this.attempts === 0) this.#core.metrics.reject(error.code ?? 'error')
    this.settle(error.status >= 500 ? 'failed' : 'refused', error.status, more.problem ?? error.code)
  }

  /** The one end. */
  settle(outcome: Outcome, status: number, problem?: string): void {
    if (this.#over) return
    this.#over = true
    this.stage = undefined
    const core = this.#core
    core.inFlight.delete(this)
    if (core.onEmpty !== undefined && core.inFlight.size === 0) core.onEmpty()
    this.letGo()
    const durationMs = core.clock.monotonicMs() - this.startedMs
    const counts = this.#counts
    if (counts !== undefined) {
      counts.inFlight--
      counts.end(status, outcome)
      counts.durationSeconds.observe(durationMs / 1000)
      if (this.queuedMs > 0) counts.queueSeconds.observe(this.queuedMs / 1000)
      if (this.firstOutputMs !== undefined) counts.ttftSeconds.observe(this.firstOutputMs / 1000)
      counts.promptTokens += this.usage?.promptTokens ?? 0
      counts.completionTokens += this.usage?.completionTokens ?? 0
    }
    core.log.info('request', {
      requestId: this.requestId,
      traceId: this.traceparent.slice(3, 35),
      route: this.#route,
      keyId: this.principal?.keyId,
      model: this.model,
      replica: this.replica,
      stream: this.stream,
      status,
      outcome,
      problem,
      attempts: this.attempts,
      queuedMs: tenths(this.queuedMs),
      firstOutputMs: this.firstOutputMs === undefined ? undefined : tenths(this.firstOutputMs),
      durationMs: tenths(durationMs),
      promptTokens: this.usage?.promptTokens,
      completionTokens: this.usage?.completionTokens,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
    })
  }
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}
