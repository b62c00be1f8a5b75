import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { pipeline } from 'node:stream'
import { YardError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Assignment } from '../../domain/replica.ts'
import { errorBody } from './agent-api.ts'
import { bearerOf, isCredential } from './credential.ts'

/** The only calls that reach an engine: engines have others, which nobody outside this machine may make. */
const ALLOWED: ReadonlySet<string> = new Set([
  'POST /v1/chat/completions',
  'POST /v1/completions',
  'POST /v1/embeddings',
  'POST /v1/rerank',
  'POST /v2/rerank',
  'POST /rerank',
  'POST /score',
  'POST /v1/score',
  'POST /tokenize',
  'POST /detokenize',
  'POST /v1/responses',
  'POST /v1/messages',
  'POST /v1/messages/count_tokens',
  'POST /v1/audio/transcriptions',
  'GET /v1/models',
])

/** What an engine is told of the request. Credentials, cookies and the client's address stay here. */
const REQUEST_HEADERS = [
  'accept',
  'content-type',
  'content-length',
  'traceparent',
  'tracestate',
  'x-request-id',
  'anthropic-version',
  'anthropic-beta',
]

/** What of an engine's answer is only between it and us. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'server',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const MAX_BODY_BYTES = 128 * 1024 * 1024
/** An engine that has sent nothing for so long, within one request, is not going to. */
const IDLE_MS = 1_800_000

/** The way from other machines to the engines of this one. */
export interface EngineProxy {
  /** Serves `/engines/{replica}/<path>`; the caller has seen that prefix. */
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Requests under way. */
  inFlight(replica: string): number
  /** Ends them, on both sides. */
  end(replica: string): void
}

/**
 * Passes bytes both ways as they come. The caller presents the replica's own credential (for `GET /metrics` the
 * agent's); the engine is given its credential again and nothing else that says who asked. A caller that leaves ends
 * its request at the engine, and an answer that breaks off breaks off for the caller too.
 */
export function createEngineProxy(deps: {
  readonly serving: (replica: string) => Assignment | undefined
  readonly agentCredential: () => string | undefined
  readonly log: Log
}): EngineProxy {
  const open = new Map<string, Set<() => void>>()

  const admit = (request: IncomingMessage): { assignment: Assignment; path: string } => {
    const { replica, path } = targetOf(request.url ?? '')
    const bearer = bearerOf(request.headers.authorization)
    const assignment = deps.serving(replica)
    const isMetrics = request.method === 'GET' && path === '/metrics'
    // An unknown replica looks like a wrong credential: who has none learns no names.
    const secret = isMetrics ? deps.agentCredential() : assignment?.credential
    if (!isCredential(bearer, secret)) {
      throw new YardError(
        'unauthenticated',
        'this is not the credential of that replica, or it does not serve here',
      )
    }
    if (assignment === undefined) {
      throw new YardError('unavailable', `replica "${replica}" does not serve on this node`)
    }
    if (!isMetrics && !ALLOWED.has(`${request.method} ${path}`)) {
      throw new YardError('not_found', 'the proxy does not pass on this path')
    }
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge()
    return { assignment, path }
  }

  const pass = (request: IncomingMessage, response: ServerResponse, assignment: Assignment, path: string) => {
    const upstream = httpRequest({
      host: '127.0.0.1',
      port: assignment.port,
      method: request.method ?? 'GET',
      path,
      // A connection kept for the next request may be the one that the engine is just closing.
      agent: false,
      headers: { ...picked(request.headers), authorization: `Bearer ${assignment.credential}` },
    })
    upstream.setNoDelay(true)
    upstream.setTimeout(IDLE_MS, () => upstream.destroy(new Error('idle')))
    const end = () => {
      upstream.destroy()
      if (!response.writableFinished) response.destroy()
    }
    const enders = open.get(assignment.replica) ?? new Set()
    open.set(assignment.replica, enders.add(end))
    response.once('close', () => {
      enders.delete(end)
      if (enders.size === 0) open.delete(assignment.replica)
      upstream.destroy()
    })
    upstream.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, passedOn(answer.headers))
      response.flushHeaders()
      response.socket?.setNoDelay(true)
      // On an answer that breaks off this destroys the response, so that the caller can tell.
      pipeline(answer, response, () => {})
    })
    let refused = false
    upstream.once('error', (error: NodeJS.ErrnoException) => {
      if (refused) return
      if (response.headersSent || response.destroyed) {
        response.destroy()
        return
      }
      deps.log.warn('engine_unreachable', { replica: assignment.replica, problem: error.code ?? 'error' })
      refuse(request, response, new YardError('unreachable', 'the engine did not answer'))
    })
    sendBody(request, upstream, () => {
      refused = true
      upstream.destroy()
      if (response.headersSent) response.destroy()
      else refuse(request, response, tooLarge())
    })
  }

  return {
    handle(request, response) {
      try {
        const { assignment, path } = admit(request)
        pass(request, response, assignment, path)
      } catch (error) {
        refuse(request, response, error)
      }
    },
    inFlight: (replica) => open.get(replica)?.size ?? 0,
    end(replica) {
      for (const end of [...(open.get(replica) ?? [])]) end()
    },
  }
}

/** `/engines/{replica}/<path>?…`; the query is dropped, the path is compared as it is written. */
function targetOf(url: string): { replica: string; path: string } {
  const match = /^\/engines\/([^/?#]{1,300})(\/[^?#]*)(?:\?.*)?$/.exec(url)
  try {
    return { replica: decodeURIComponent(match?.[1] ?? ''), path: match?.[2] ?? '' }
  } catch {
    return { replica: '', path: '' }
  }
}

function sendBody(
  request: IncomingMessage,
  upstream: ReturnType<typeof httpRequest>,
  onTooLarge: () => void,
): void {
  if (request.method === 'GET') {
    upstream.end()
    return
  }
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) {
      request.unpipe(upstream)
      onTooLarge()
    }
  })
  request.pipe(upstream)
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const { status, body } = errorBody(error)
  const text = JSON.stringify(body)
  // What is still to come of the body is not waited for.
  request.resume()
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...(request.complete ? {} : { connection: 'close' }),
  })
  response.end(text)
}

function picked(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    REQUEST_HEADERS.flatMap((name): [string, string][] => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

function passedOn(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name)))
}

function tooLarge(): YardError {
  return new YardError('too_large', `a request body may hold at most ${MAX_BODY_BYTES} bytes`)
}
