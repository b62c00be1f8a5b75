import { ERROR_TABLE, type ErrorCode, errorText, isYardError, YardError } from '../../base/errors.ts'
import type { Fetch } from '../../base/fetch.ts'
import type { EngineLogs } from '../logs/engine-logs.ts'
import { bearerOf, isCredential } from './credential.ts'

/** Each holds a connection and reads a file several times a second. */
const MAX_FOLLOWERS = 64

/**
 * The agent's own HTTP API: `GET /healthz` for anybody, `GET /replicas/{name}/logs` for control. Engines are reached
 * through the proxy, not here.
 */
export function createAgentApi(deps: {
  readonly logs: EngineLogs
  /** What control presents; undefined until the machine has registered. */
  readonly agentCredential: () => string | undefined
}): Fetch {
  let followers = 0

  const logs = async (request: Request, url: URL, replica: string): Promise<Response> => {
    const lines = tailOf(url.searchParams.get('tail'))
    const previous = url.searchParams.get('previous') === 'true'
    const tail = await deps.logs.tail(replica, lines, previous ? 'previous' : 'current')
    if (tail === undefined) {
      const which = previous ? 'log of an earlier run' : 'log'
      throw new YardError('not_found', `this node has no ${which} of replica "${replica}"`)
    }
    if (previous || url.searchParams.get('follow') !== 'true') return text(tail)
    if (followers >= MAX_FOLLOWERS) {
      throw new YardError('limited', `${MAX_FOLLOWERS} logs of this node are being followed already`)
    }
    followers++
    const gone = new AbortController()
    const chunks = deps.logs.follow(replica, lines, AbortSignal.any([gone.signal, request.signal]))
    const iterator = chunks[Symbol.asyncIterator]()
    let open = true
    const close = () => {
      if (open) followers--
      open = false
      gone.abort()
    }
    return text(
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          try {
            const next = await iterator.next()
            if (!next.done) return controller.enqueue(next.value)
            controller.close()
          } catch (error) {
            controller.error(error)
          }
          close()
        },
        cancel: close,
      }),
    )
  }

  const answer = async (request: Request): Promise<Response> => {
    const url = new URL(request.url)
    if (request.method !== 'GET') throw new YardError('method_not_allowed', 'the agent answers to GET only')
    if (url.pathname === '/healthz') return Response.json({ status: 'ok' })
    if (!isCredential(bearerOf(request.headers.get('authorization')), deps.agentCredential())) {
      throw new YardError('unauthenticated', 'the agent answers to its control plane only')
    }
    const name = /^\/replicas\/([^/]{1,300})\/logs$/.exec(url.pathname)?.[1]
    if (name === undefined) throw new YardError('not_found', 'there is no such path on the agent')
    return logs(request, url, decoded(name))
  }

  return (request) => answer(request).catch(errorResponse)
}

/** A fault in the one envelope. */
export function errorResponse(error: unknown): Response {
  const { status, body } = errorBody(error)
  return Response.json(body, { status })
}

export function errorBody(error: unknown): { status: number; body: { error: object } } {
  const known = isYardError(error)
  const code: ErrorCode = known ? error.code : 'internal'
  // The text of an unexpected fault may hold paths of this machine.
  const message = known ? errorText(error) : 'the agent failed; see its log'
  const hint = known && error.hint !== undefined ? { hint: error.hint } : {}
  return { status: ERROR_TABLE[code].status, body: { error: { code, message, ...hint } } }
}

function tailOf(given: string | null): number {
  const lines = given === null ? 200 : Number(given)
  if (!Number.isInteger(lines) || lines < 0 || lines > 100_000) {
    throw new YardError('invalid_request', 'tail is a number of lines from 0 to 100000')
  }
  return lines
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new YardError('invalid_request', 'the path is not well encoded')
  }
}

function text(body: Uint8Array | ReadableStream<Uint8Array>): Response {
  return new Response(body as ConstructorParameters<typeof Response>[0], {
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    },
  })
}
