import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { errorText } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { serveAdapterChange } from './adapter-routes.ts'
import { serveEmbeddings } from './embedding-route.ts'
import { type AbortReason, type Exchange, sendJson, sendRefusal, untilEvent } from './exchange.ts'
import { serveMetrics, serveModels } from './info-routes.ts'
import type { Metrics, Outcome } from './metrics.ts'
import { type Refusal, refusal } from './refusal.ts'
import { type Finished, newId, type Serving } from './serving.ts'
import type { Waiting } from './slots.ts'
import { serveText, shuttingDown } from './text-route.ts'
import { serveDetokenize, serveTokenize } from './token-routes.ts'

export type EngineState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'serving'; readonly serving: Serving }
  | { readonly kind: 'draining'; readonly serving: Serving | undefined }

export interface ServerDeps {
  readonly clock: Clock
  readonly log: Log
  readonly random: Random
  readonly key: string | undefined
  readonly version: string
  readonly metrics: Metrics
  readonly waiting: Waiting
}

type Route = (
  serving: Serving,
  exchange: Exchange,
  deps: ServerDeps,
) => Promise<Finished | Refusal> | Finished

const ROUTES: Readonly<Record<string, { readonly method: 'GET' | 'POST'; readonly serve: Route }>> = {
  '/v1/chat/completions': {
    method: 'POST',
    serve: (serving, exchange) => serveText('chat', serving, exchange),
  },
  '/v1/completions': {
    method: 'POST',
    serve: (serving, exchange) => serveText('completion', serving, exchange),
  },
  '/v1/embeddings': { method: 'POST', serve: serveEmbeddings },
  '/tokenize': { method: 'POST', serve: serveTokenize },
  '/v1/tokenize': { method: 'POST', serve: serveTokenize },
  '/detokenize': { method: 'POST', serve: serveDetokenize },
  '/v1/detokenize': { method: 'POST', serve: serveDetokenize },
  '/v1/load_lora_adapter': {
    method: 'POST',
    serve: (serving, exchange) => serveAdapterChange('load', serving, exchange),
  },
  '/v1/unload_lora_adapter': {
    method: 'POST',
    serve: (serving, exchange) => serveAdapterChange('unload', serving, exchange),
  },
  '/v1/models': { method: 'GET', serve: serveModels },
  '/metrics': {
    method: 'GET',
    serve: (serving, exchange, deps) => serveMetrics(serving, exchange, deps.waiting.count),
  },
}

/**
 * Answers HTTP requests for one engine, from before its model is loaded until its last request ended. Requests in
 * flight are counted, so that whoever drains it knows when it is empty.
 */
export class EngineServer {
  state: EngineState = { kind: 'loading' }
  readonly #deps: ServerDeps
  readonly #inFlight = new Set<AbortController>()
  #whenEmpty: (() => void)[] = []

  constructor(deps: ServerDeps) {
    this.#deps = deps
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Resolves when no request is in flight. */
  empty(): Promise<void> {
    if (this.#inFlight.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenEmpty.push(resolve))
  }

  /** Ends the work of all requests in flight. */
  abortAll(): void {
    const reason: AbortReason = 'shutting_down'
    for (const controller of this.#inFlight) controller.abort(reason)
  }

  /** The listener for `node:http`. Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, log, random } = this.#deps
    const controller = new AbortController()
    const given = request.headers['x-request-id']
    const exchange: Exchange = {
      request,
      response,
      id: typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : newId('req-', random),
      arrivedMs: clock.monotonicMs(),
      signal: controller.signal,
    }
    const left: AbortReason = 'client_left'
    response.once('close', () => controller.abort(left))
    // Each choice of an answer may wait for the client to read on.
    response.setMaxListeners(0)
    request.on('error', () => {})
    this.#inFlight.add(controller)
    const path = (request.url ?? '/').split('?')[0] ?? '/'
    try {
      const result = await this.#answer(path, exchange)
      if (result.kind === 'refused') sendRefusal(exchange, result)
      this.#record(path, exchange, result)
    } catch (error) {
      log.error('request_failed', { requestId: exchange.id, path, message: errorText(error) })
      if (response.headersSent) response.destroy()
      else sendRefusal(exchange, refusal(500, 'internal_error', 'the engine failed; its log says why'))
    } finally {
      // What is written but not sent would be lost if the engine ended now.
      if (response.writableEnded && !response.writableFinished && !response.destroyed) {
        await untilEvent(response, 'finish', clock)
      }
      this.#inFlight.delete(controller)
      if (this.#inFlight.size === 0) for (const done of this.#whenEmpty.splice(0)) done()
    }
  }

  async #answer(path: string, exchange: Exchange): Promise<Finished | Refusal> {
    if (path === '/health') return this.#health(exchange)
    if (!this.#isAllowed(exchange.request)) {
      return refusal(401, 'invalid_api_key', 'the engine key is missing or wrong')
    }
    if (path === '/version' && exchange.request.method === 'GET') {
      sendJson(exchange, 200, { version: this.#deps.version })
      return { kind: 'finished', outcome: 'other' }
    }
    if (this.state.kind === 'loading') return loadingModel()
    const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined
    if (route === undefined) return refusal(404, 'not_found', `there is no ${path} here`)
    if (exchange.request.method !== route.method) {
      return refusal(405, 'method_not_allowed', `${path} takes ${route.method}`)
    }
    const { serving } = this.state
    const isRead = route.method === 'GET'
    if (serving === undefined || (this.state.kind === 'draining' && !isRead)) return shuttingDown()
    return route.serve(serving, exchange, this.#deps)
  }

  #health(exchange: Exchange): Finished | Refusal {
    if (this.state.kind === 'loading') return loadingModel()
    if (this.state.kind === 'draining') return shuttingDown()
    sendJson(exchange, 200, { status: 'ok' })
    return { kind: 'finished', outcome: 'other' }
  }

  #isAllowed(request: IncomingMessage): boolean {
    const { key } = this.#deps
    if (key === undefined) return true
    const given = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? ''
    // Of equal length whatever was sent, so that the comparison tells nothing about it.
    return timingSafeEqual(digest(given), digest(key))
  }

  #record(path: string, exchange: Exchange, result: Finished | Refusal): void {
    const { clock, log, metrics } = this.#deps
    const durationMs = Math.round(clock.monotonicMs() - exchange.arrivedMs)
    const outcome = outcomeOf(result)
    const fields = {
      requestId: exchange.id,
      path,
      status: result.kind === 'refused' ? result.status : outcome === 'aborted' ? 499 : 200,
      durationMs,
      outcome,
      ...(result.kind === 'refused'
        ? { code: result.code }
        : {
            model: result.model,
            promptTokens: result.promptTokens,
            completionTokens: result.completionTokens,
          }),
    }
    // Probes and scrapes come every few seconds, all their lives.
    if (exchange.request.method === 'GET') log.debug('request', fields)
    else log.info('request', fields)
    if (!INFERENCE_PATHS.has(path) || outcome === 'other') return
    metrics.count(outcome)
    metrics.requestLatency.observe(durationMs / 1000)
  }
}

/** Paths whose requests the counters count. */
const INFERENCE_PATHS = new Set(['/v1/chat/completions', '/v1/completions', '/v1/embeddings'])

function outcomeOf(result: Finished | Refusal): Outcome | 'other' {
  if (result.kind === 'finished') return result.outcome
  return result.status >= 500 ? 'error' : 'refused'
}

function loadingModel(): Refusal {
  return refusal(503, 'model_loading', 'Loading model', { retryAfterSeconds: 1 })
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
