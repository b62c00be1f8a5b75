import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Principal } from '../domain/access.ts'
import { mayInfer, mayReadMetrics } from './access.ts'
import { bytesAsText, errorAnswer } from './answer-headers.ts'
import type { Core } from './core.ts'
import { type GatewayError, gatewayErrors } from './gateway-error.ts'
import { INFERENCE_ROUTES } from './inference-route.ts'
import { Intake } from './intake.ts'
import { modelCard, modelCards } from './model-list.ts'
import { readHead } from './request-head.ts'
import type { ViewIndex } from './view-index.ts'

/** Everything that the gateway answers, by path. */
export function serve(core: Core, request: IncomingMessage, response: ServerResponse): void {
  const path = pathOf(request.url ?? '/')
  const inference = INFERENCE_ROUTES.get(path)
  if (inference !== undefined && request.method === 'POST') {
    new Intake(core, inference, request, response).begin(response)
    return
  }
  const answer = answerOf(core, request, path, inference !== undefined)
  const head = readHead(request.rawHeaders)
  const requestId = head.requestId ?? core.ids.requestId()
  const closing = core.state !== 'serving'
  if (answer.kind === 'error') {
    core.metrics.reject(answer.error.code ?? 'error')
    const { headers, text } = errorAnswer(answer.error, { requestId, source: 'gateway', closing })
    if (answer.allow !== undefined) headers.push('allow', answer.allow)
    send(response, answer.error.status, headers, text)
  } else {
    const headers = [
      'content-type',
      answer.contentType,
      'x-request-id',
      requestId,
      'cache-control',
      'no-store',
    ]
    if (closing) headers.push('connection', 'close')
    send(response, answer.status, headers, bytesAsText(answer.body))
  }
}

type Answer =
  | { readonly kind: 'ok'; readonly status: number; readonly contentType: string; readonly body: string }
  | { readonly kind: 'error'; readonly error: GatewayError; readonly allow?: string }

const JSON_TYPE = 'application/json'
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

function answerOf(core: Core, request: IncomingMessage, path: string, isInference: boolean): Answer {
  if (isInference) return { kind: 'error', error: gatewayErrors.wrongMethod('POST'), allow: 'POST' }
  const isModels = path === '/v1/models' || path.startsWith('/v1/models/')
  if (!isModels && path !== '/healthz' && path !== '/readyz' && path !== '/metrics') {
    return { kind: 'error', error: gatewayErrors.unknownPath(path.slice(0, 200)) }
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { kind: 'error', error: gatewayErrors.wrongMethod('GET'), allow: 'GET, HEAD' }
  }
  if (path === '/healthz') return ok({ status: 'ok' })
  if (path === '/readyz') return readiness(core)
  return withPrincipal(core, request, (principal, index) => {
    if (path === '/metrics') {
      if (!mayReadMetrics(principal))
        return { kind: 'error', error: gatewayErrors.wrongScope('read or manage') }
      return { kind: 'ok', status: 200, contentType: METRICS_TYPE, body: metricsText(core, index) }
    }
    if (!mayInfer(principal)) return { kind: 'error', error: gatewayErrors.wrongScope('inference') }
    if (path === '/v1/models') return ok({ object: 'list', data: modelCards(index, principal) })
    const id = decoded(path.slice('/v1/models/'.length))
    const card = modelCard(index, principal, id)
    return card === undefined
      ? { kind: 'error', error: gatewayErrors.modelNotFound(id.slice(0, 200)) }
      : ok(card)
  })
}

function withPrincipal(
  core: Core,
  request: IncomingMessage,
  then: (principal: Principal, index: ViewIndex) => Answer,
): Answer {
  if (core.index === undefined) return { kind: 'error', error: gatewayErrors.noView() }
  const principal = core.authenticator.authenticate(readHead(request.rawHeaders).token, core.index)
  return principal === undefined
    ? { kind: 'error', error: gatewayErrors.badKey() }
    : then(principal, core.index)
}

function readiness(core: Core): Answer {
  const checks = {
    view: core.index === undefined ? 'none yet' : 'ok',
    draining: core.state === 'serving' ? 'no' : 'yes',
  }
  const ready = core.index !== undefined && core.state === 'serving'
  return { ...ok({ ready, checks }), status: ready ? 200 : 503 }
}

function metricsText(core: Core, index: ViewIndex): string {
  return core.metrics.render({
    queued: core.waitRoom.size,
    openConnections: core.pool.openConnections,
    view: {
      ageMs: core.clock.monotonicMs() - core.viewConfirmedAtMs,
      revision: index.revision,
      planVersion: index.planVersion,
    },
    heldBodyBytes: core.heldBodyBytes,
    lagMs: core.inFlight.takeLagMs(),
    replicas: core.loads.all(),
  })
}

function ok(body: unknown): Extract<Answer, { kind: 'ok' }> {
  return { kind: 'ok', status: 200, contentType: JSON_TYPE, body: JSON.stringify(body) }
}

function send(response: ServerResponse, status: number, headers: string[], text: string): void {
  headers.push('content-length', String(text.length))
  response.writeHead(status, headers)
  response.end(text, 'latin1')
}

function pathOf(url: string): string {
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
