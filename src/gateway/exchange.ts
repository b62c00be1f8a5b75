import { type Attempt as AttemptRecord, retry } from '../decide/retry.ts'
import { route as chooseEndpoint, type RouteDecision } from '../decide/route.ts'
import type { Endpoint } from '../domain/replica.ts'
import type { Account, Stage } from './account.ts'
import { answerHeaders, errorEvent } from './answer-headers.ts'
import { Attempt } from './attempt.ts'
import type { AttemptFailure, AttemptOwner } from './attempt-owner.ts'
import type { HeaderList } from './client-answer.ts'
import type { Core } from './core.ts'
import { type GatewayError, gatewayErrors } from './gateway-error.ts'
import type { InferenceRoute } from './inference-route.ts'
import { type RequestBodyFacts, withModel } from './read-request.ts'
import type { ResponseHead } from './response-parser.ts'
import type { Usage } from './stream-event.ts'
import type { UpstreamTarget } from './upstream.ts'
import type { Waiter } from './wait-room.ts'

/** What a deadline that passes means depends on it. */
type Phase = 'queued' | 'delayed' | 'connecting' | 'waiting' | 'passing' | 'client_stalled'

/**
 * A permitted request on its way: waits for a replica, tries one after another while nothing has gone to the
 * client, passes the answer on. The client may leave in each phase; its upstream is closed then and there.
 */
export class Exchange implements AttemptOwner, Stage, Waiter {
  /** The public name asked for, by which it waits. */
  readonly name: string
  readonly #core: Core
  readonly #route: InferenceRoute
  readonly #account: Account
  readonly #facts: RequestBodyFacts
  readonly #tracestate: string | undefined
  readonly #receivedAtMs: number
  #body: Buffer | undefined
  #phase: Phase = 'queued'
  #attempt: Attempt | undefined
  #records: AttemptRecord[] | undefined
  #lastFailure: AttemptFailure | undefined
  #waitReason: 'no_ready_endpoint' | 'saturated' = 'no_ready_endpoint'
  #queuedAtMs: number | undefined
  #overheadMs = 0
  #passedAtMs = 0
  #passedText = ''
  #isStream = false

  constructor(
    core: Core,
    route: InferenceRoute,
    account: Account,
    what: {
      readonly body: Buffer
      readonly facts: RequestBodyFacts
      readonly tracestate: string | undefined
    },
  ) {
    this.#core = core
    this.#route = route
    this.#account = account
    this.#facts = what.facts
    this.#body = what.body
    this.#tracestate = what.tracestate
    this.name = what.facts.model
    this.#receivedAtMs = core.clock.monotonicMs()
    account.stage = this
  }

  begin(): void {
    this.#core.recent.request()
    // Whoever waits already came first.
    if (this.#core.waitRoom.has(this.name)) this.#queue('saturated')
    else this.#act(this.#decide())
  }

  wake(): boolean {
    const decision = this.#decide()
    if (decision.kind === 'wait') {
      this.#waitReason = decision.reason
      return false
    }
    this.#core.waitRoom.leave(this)
    this.#act(decision)
    return true
  }

  clientLeft(): void {
    this.#core.waitRoom.leave(this)
    this.#attempt?.abort()
    this.#account.usage = this.#attempt?.usage
    this.#account.settle('client_closed', 499, this.#phase)
  }

  cutOff(): void {
    this.#core.waitRoom.leave(this)
    if (this.#attempt?.committed === true) this.#attempt.cutOff()
    else {
      this.#attempt?.abort()
      this.#account.refuse(gatewayErrors.draining())
    }
  }

  /**
   * Where the replica left the view and nothing came of it yet, another one is asked: its machine may be gone without
   * a word, and then no answer and no error will ever come. When no other may be asked, its answer is still waited for.
   */
  viewChanged(): void {
    const attempt = this.#attempt
    if (attempt === undefined || (this.#phase !== 'connecting' && this.#phase !== 'waiting')) return
    if (this.#core.index?.targets.has(attempt.replica) !== false) return
    if (this.#decide(attempt.replica).kind !== 'send') return
    const { replica } = attempt
    const tries = [
      ...(this.#records ?? []),
      { replica, end: { kind: 'reset' }, outputForwarded: false } as const,
    ]
    const leftMs = this.#account.totalAtMs - this.#core.clock.monotonicMs()
    if (retry(tries, leftMs, this.#core.recent).kind === 'again') attempt.giveUp('the replica left the view')
  }

  expire(nowMs: number): void {
    const isTotal = nowMs >= this.#account.totalAtMs
    switch (this.#phase) {
      case 'queued':
        this.#core.waitRoom.leave(this)
        this.#account.queuedMs += nowMs - (this.#queuedAtMs ?? nowMs)
        this.#account.refuse(
          this.#waitReason === 'saturated'
            ? gatewayErrors.overloaded()
            : gatewayErrors.modelLoading(this.name),
        )
        return
      case 'delayed':
        this.#giveUp()
        return
      case 'connecting':
        this.#attempt?.timeOut(isTotal ? 'total' : 'connect')
        return
      case 'waiting':
        this.#attempt?.timeOut(isTotal ? 'total' : 'first_output')
        return
      case 'passing':
        this.#attempt?.timeOut(isTotal ? 'total' : 'inter_chunk')
        return
      case 'client_stalled':
        // Nothing can be told to somebody who takes nothing.
        this.#account.client.destroy()
        this.clientLeft()
    }
  }

  sent(): void {
    const { settings, clock } = this.#core
    // An answer in one piece comes when all of it is made; only the request's own deadline bounds that.
    this.#enter(
      'waiting',
      this.#facts.stream ? clock.monotonicMs() + settings.firstOutputMs : Number.POSITIVE_INFINITY,
    )
  }

  failed(failure: AttemptFailure): void {
    const core = this.#core
    core.metrics.fault(failure.end.kind)
    this.#lastFailure = failure
    this.#records ??= []
    this.#records.push({ replica: this.#attempt?.replica ?? '', end: failure.end, outputForwarded: false })
    this.#attempt = undefined
    const decision = retry(this.#records, this.#account.totalAtMs - core.clock.monotonicMs(), core.recent)
    if (decision.kind === 'give_up') {
      this.#giveUp()
      return
    }
    const next = this.#decide()
    if (next.kind === 'reject') {
      // Nobody else is there to be asked: the client need not wait to hear it.
      this.#giveUp()
      return
    }
    core.recent.retry()
    core.metrics.retries++
    if (decision.delayMs === 0) {
      this.#act(next)
      return
    }
    this.#enter('delayed', Number.POSITIVE_INFINITY)
    core.clock.after(decision.delayMs, () => {
      if (!this.#account.over) this.#act(this.#decide())
    })
  }

  answered(head: ResponseHead, text: string, usage: Usage | undefined): void {
    const account = this.#account
    account.usage = usage
    account.responseBytes = text.length
    account.client.whole(200, this.#headers(head), text)
    account.settle('ok', 200)
  }

  committed(head: ResponseHead, text: string, isStream: boolean): void {
    const account = this.#account
    this.#isStream = isStream
    this.#body = undefined
    account.letGo()
    const nowMs = this.#core.clock.monotonicMs()
    account.firstOutputMs = nowMs - account.startedMs
    const headers = this.#headers(head)
    if (isStream) headers.push('cache-control', 'no-cache, no-transform', 'x-accel-buffering', 'no')
    else if (head.contentLength !== undefined) headers.push('content-length', String(head.contentLength))
    account.client.begin(200, headers)
    this.#passedAtMs = nowMs
    this.#enter('passing', nowMs + this.#core.settings.interChunkMs)
    this.#pass(text)
  }

  passed(text: string): void {
    const nowMs = this.#core.clock.monotonicMs()
    if (this.#isStream) this.#account.gap(nowMs - this.#passedAtMs)
    this.#passedAtMs = nowMs
    if (this.#phase === 'passing') this.#enter('passing', nowMs + this.#core.settings.interChunkMs)
    this.#pass(text)
  }

  ended(text: string, usage: Usage | undefined): void {
    const account = this.#account
    account.usage = usage
    account.responseBytes += text.length
    account.client.end(text)
    account.settle('ok', 200)
  }

  broke(text: string, error: GatewayError | undefined, reason: string): void {
    const account = this.#account
    account.usage = this.#attempt?.usage
    account.responseBytes += text.length
    let rest = text
    if (this.#isStream && error !== undefined) {
      const before = text === '' ? this.#passedText : text
      // An event cut in two must not swallow the error.
      rest += /(?:\n\n|\r\r|\r\n\r\n)$/.test(before) ? errorEvent(error) : `\n\n${errorEvent(error)}`
    }
    account.client.breakOff(rest)
    account.settle('failed', 200, reason)
  }

  #decide(alsoAvoid?: string): RouteDecision {
    const tried = this.#records === undefined ? NONE : this.#records.map(({ replica }) => replica)
    const avoid = alsoAvoid === undefined ? tried : [...tried, alsoAvoid]
    return chooseEndpoint({ model: this.name, avoid }, this.#core.routing, this.#core.random)
  }

  #act(decision: RouteDecision): void {
    if (decision.kind === 'send') this.#send(decision.endpoint, decision.because)
    else if (decision.kind === 'wait') this.#queue(decision.reason)
    else if (decision.reason === 'model_not_found')
      this.#account.refuse(gatewayErrors.modelNotFound(this.name))
    else this.#giveUp()
  }

  #queue(reason: 'no_ready_endpoint' | 'saturated'): void {
    const { settings, clock, index, waitRoom } = this.#core
    this.#waitReason = reason
    if (!waitRoom.enter(this)) {
      this.#account.refuse(gatewayErrors.overloaded())
      return
    }
    const phase = index?.names.get(this.name)?.phase
    const isUnloaded = phase === 'stopped' || phase === 'deleting'
    this.#queuedAtMs = clock.monotonicMs()
    this.#enter('queued', this.#queuedAtMs + (isUnloaded ? settings.unloadedQueueMs : settings.queueMs))
  }

  #send(endpoint: Endpoint, because: string): void {
    const core = this.#core
    const account = this.#account
    const target = core.index?.targets.get(endpoint.replica)
    const body = this.#body
    if (target === undefined || body === undefined) {
      this.#giveUp()
      return
    }
    const nowMs = core.clock.monotonicMs()
    if (this.#queuedAtMs !== undefined) account.queuedMs += nowMs - this.#queuedAtMs
    this.#queuedAtMs = undefined
    if (account.attempts++ === 0) this.#overheadMs = nowMs - this.#receivedAtMs - account.queuedMs
    account.replica = endpoint.replica
    core.metrics.pick(because)
    const renamed = target.model !== undefined && target.model !== this.name
    const bytes = renamed ? withModel(body, this.#facts.modelRange, target.model) : body
    const occupation = core.loads.occupy(endpoint.replica)
    const attempt = new Attempt(endpoint.replica, this.#facts.choices, this, {
      occupation,
      settings: core.settings,
    })
    this.#attempt = attempt
    this.#enter('connecting', nowMs + core.settings.connectMs)
    attempt.follow(core.pool.send(target, this.#upstreamHead(target, bytes.length), bytes, attempt))
  }

  /** Only what is ours or was checked goes upstream: no credential, cookie or address of the client. */
  #upstreamHead(target: UpstreamTarget, length: number): string {
    const { requestId, traceparent } = this.#account
    const state = this.#tracestate === undefined ? '' : `tracestate: ${this.#tracestate}\r\n`
    return `POST ${target.basePath}${this.#route.upstreamPath} HTTP/1.1\r\n${target.fixedHead}content-length: ${length}\r\nx-request-id: ${requestId}\r\ntraceparent: ${traceparent}\r\n${state}\r\n`
  }

  #headers({ contentType }: ResponseHead): HeaderList {
    const { requestId, attempts, replica = '' } = this.#account
    const closing = this.#core.state !== 'serving'
    return answerHeaders({ contentType, requestId, replica, attempts, overheadMs: this.#overheadMs, closing })
  }

  #pass(text: string): void {
    const account = this.#account
    account.responseBytes += text.length
    this.#passedText = text
    if (account.client.write(text) || this.#phase === 'client_stalled') return
    const { clock, settings } = this.#core
    this.#attempt?.pause()
    this.#enter('client_stalled', clock.monotonicMs() + settings.clientStallMs)
    account.client.onDrain(() => {
      if (account.over) return
      this.#enter('passing', clock.monotonicMs() + settings.interChunkMs)
      this.#attempt?.resume()
    })
  }

  /** There is no other try. */
  #giveUp(): void {
    const failure = this.#lastFailure
    if (failure === undefined) this.#account.refuse(gatewayErrors.internal())
    else this.#account.refuse(failure.error, { source: failure.source, problem: failure.message })
  }

  #enter(phase: Phase, deadlineAtMs: number): void {
    this.#phase = phase
    this.#account.deadlineAtMs = Math.min(deadlineAtMs, this.#account.totalAtMs)
  }
}

const NONE: readonly string[] = []
