import type { Operation } from '../../api/operation.ts'
import { type Operations, operations } from '../../api/operations.ts'
import type { Clock } from '../../base/clock.ts'
import { errorText, isYardError, YardError } from '../../base/errors.ts'
import type { Fetch } from '../../base/fetch.ts'
import type { Log } from '../../base/log.ts'
import { authorize, type Permission } from '../../decide/index.ts'
import type { Principal } from '../../domain/access.ts'
import type { ClusterCache } from '../cluster-cache.ts'
import type { Metrics } from '../metrics.ts'
import { authenticate } from './authenticate.ts'
import { checkBrowserRules } from './browser-rules.ts'
import { faultResponse } from './fault-response.ts'
import type { AnyHandler, Handlers } from './handlers.ts'
import { parseInput, parseJson } from './parse-input.ts'
import { readBody } from './read-body.ts'
import { requestIdOf } from './request-id.ts'
import { createRoutes } from './routes.ts'

/** A page beside the API: open when it has no permission. */
export interface PlainPage {
  readonly path: string
  readonly permission?: Permission
  answer(): Response | Promise<Response>
}

export interface DispatcherDeps {
  readonly handlers: Handlers
  readonly pages: readonly PlainPage[]
  readonly cache: ClusterCache
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly pepper: string
  readonly randomBytes: (size: number) => Uint8Array
  readonly allowedHosts?: readonly string[]
}

const NOBODY: Principal = { keyId: '', name: 'nobody', scopes: [] }
/** How long a request waits for the first copy of the store after a start. */
const SYNCED_WITHIN_MS = 10_000
/** Asked again and again by machines; told only when one fails. */
const QUIET: readonly (keyof Operations)[] = ['heartbeat', 'nodeWork', 'gatewayView', 'reportSource']

/** What is known of a request by the time it is answered. */
interface Account {
  readonly requestId: string
  operation: string
  keyId?: string
}

/**
 * The one way into the control API. For each request: who may send it at all, which operation it is, who asks,
 * whether they may, and only then what they ask: path, query and body by the operation's own schemas.
 */
export function createDispatcher(deps: DispatcherDeps): Fetch {
  const { clock, log, metrics } = deps
  const match = createRoutes(operations)
  const pages = new Map(deps.pages.map((page) => [page.path, page]))

  const answer = async (request: Request, account: Account): Promise<Response> => {
    const url = new URL(request.url)
    const page = pages.get(url.pathname)
    checkBrowserRules(request, page && page.permission === undefined ? undefined : deps.allowedHosts)
    if (page) return answerPage(deps, request, page, account)
    const found = match(request.method, url.pathname)
    if (found.kind === 'none') {
      throw new YardError('not_found', 'there is no such path in this API', {
        reason: 'path',
        hint: 'GET /api/v1/openapi.json lists all of them',
      })
    }
    if (found.kind === 'method') {
      throw new YardError('method_not_allowed', `this path takes ${found.allow.join(', ')}`, {
        details: { allow: found.allow },
      })
    }
    account.operation = found.id
    const operation: Operation = operations[found.id]
    const principal = await admit(deps, request, operation.permission, found.params.name, account)
    const params = operation.params ? parseInput(operation.params, found.params, 'path') : undefined
    const query = operation.query ? parseInput(operation.query, queryOf(url), 'query') : undefined
    const body = operation.body
      ? parseInput(operation.body, parseJson(await readBody(request, clock)), 'body')
      : undefined
    // The mapped type of Handlers ties each handler to its operation; the schemas above made exactly its input.
    const handler = deps.handlers[found.id] as AnyHandler
    const { requestId } = account
    const result = await handler({ params, query, body, principal, requestId, signal: request.signal })
    return result instanceof Response ? result : Response.json(result, { status: operation.status })
  }

  return async (request) => {
    const startedMs = clock.monotonicMs()
    const account: Account = { requestId: requestIdOf(request.headers, deps.randomBytes), operation: 'none' }
    const response = await answer(request, account).catch((error: unknown) => {
      if (!isYardError(error)) log.error('request_broken', { ...account, error: brokenText(error) })
      return faultResponse(error, account.requestId)
    })
    const seconds = (clock.monotonicMs() - startedMs) / 1000
    const { operation } = account
    metrics.count('yard_control_requests_total', { operation, status: String(response.status) })
    const quiet = (QUIET as readonly string[]).includes(operation)
    if (!quiet) metrics.observe('yard_control_request_duration_seconds', seconds, { operation })
    const level = response.status >= 500 ? 'warn' : quiet && response.ok ? 'debug' : 'info'
    log[level]('request', { ...account, method: request.method, status: response.status, seconds })
    response.headers.set('x-request-id', account.requestId)
    response.headers.set('cache-control', 'no-store')
    response.headers.set('x-content-type-options', 'nosniff')
    return response
  }
}

async function answerPage(
  deps: DispatcherDeps,
  request: Request,
  page: PlainPage,
  account: Account,
): Promise<Response> {
  account.operation = page.path
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new YardError('method_not_allowed', 'this path takes GET', { details: { allow: ['GET', 'HEAD'] } })
  }
  if (page.permission) await admit(deps, request, page.permission, undefined, account)
  return page.answer()
}

/** Authenticates and authorizes. Nothing else of the request has been looked at. */
async function admit(
  deps: DispatcherDeps,
  request: Request,
  permission: Permission | 'join',
  resource: string | undefined,
  account: Account,
): Promise<Principal> {
  const { cache, clock, pepper } = deps
  const synced = () => cache.freshness().synced
  if (!(await cache.waitUntil(synced, SYNCED_WITHIN_MS, request.signal))) {
    throw new YardError('store_unavailable', 'the server has not been able to read its store yet', {
      hint: 'see /readyz, and the log of the server',
    })
  }
  if (permission === 'join') return NOBODY
  const principal = authenticate(request.headers, { cache, pepper, nowMs: clock.now() })
  account.keyId = principal.keyId
  const decision = authorize(principal, permission, resource)
  if (!decision.allowed) {
    throw new YardError('forbidden', decision.because, { reason: 'permission', details: { permission } })
  }
  return principal
}

/** The query as one object; a name that stands twice is refused rather than half ignored. */
function queryOf(url: URL): Record<string, string> {
  const query: Record<string, string> = {}
  for (const [name, value] of url.searchParams) {
    if (Object.hasOwn(query, name)) {
      throw new YardError('invalid_request', `query: ${name.slice(0, 64)} is given twice`)
    }
    query[name] = value
  }
  return query
}

function brokenText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? errorText(error)) : errorText(error)
}
