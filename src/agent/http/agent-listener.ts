import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { YardError } from '../../base/errors.ts'
import type { Fetch } from '../../base/fetch.ts'
import { errorResponse } from './agent-api.ts'
import type { EngineProxy } from './engine-proxy.ts'

/** Serves the agent on a Node server: engines through the proxy, the rest by its own API. */
export function agentListener(fetch: Fetch, proxy: EngineProxy): RequestListener {
  return (request, response) => {
    if (request.url?.startsWith('/engines/')) proxy.handle(request, response)
    else void serve(fetch, request, response)
  }
}

/** The agent's own operations have no bodies, so none is read. */
async function serve(fetch: Fetch, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  incoming.resume()
  const answer = await toRequest(incoming, gone.signal).then(fetch).catch(errorResponse)
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  const reader = answer.body?.getReader()
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      if (!response.write(part.value)) await drained(response)
      if (gone.signal.aborted) break
    }
    response.end()
  } catch {
    response.destroy()
  } finally {
    await reader?.cancel().catch(() => {})
  }
}

async function toRequest(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const { method, url = '/' } = incoming
  const { authorization } = incoming.headers
  // A Request can't be made of every method, nor of every path.
  if (method !== 'GET' && method !== 'HEAD') {
    throw new YardError('method_not_allowed', 'the agent answers to GET only')
  }
  if (!URL.canParse(url, 'http://agent')) {
    throw new YardError('invalid_request', 'the path is not well formed')
  }
  return new Request(new URL(url, 'http://agent'), {
    headers: authorization === undefined ? {} : { authorization },
    signal,
  })
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.once('drain', done)
    response.once('close', done)
  })
}
