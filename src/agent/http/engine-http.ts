import { request as httpRequest } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import type { HttpCall, HttpResult } from '../../engines/engine.ts'

/** Makes a call to an engine on this machine. Never rejects; ends at the call's timeout or when `signal` aborts. */
export type EngineHttp = (
  engine: { readonly port: number; readonly credential: string },
  call: HttpCall,
  signal?: AbortSignal,
) => Promise<HttpResult>

/** More than any probe or metrics page has; what is longer is cut. */
const MAX_BODY_BYTES = 8 * 1024 * 1024

/** Real calls, to loopback only. One redirect to the same engine is followed. */
export function loopbackHttp(clock: Clock): EngineHttp {
  const send = (
    engine: { readonly port: number; readonly credential: string },
    call: HttpCall,
    signal: AbortSignal | undefined,
  ) =>
    new Promise<{ result: HttpResult; location?: string }>((resolve) => {
      const body = call.body === undefined ? undefined : JSON.stringify(call.body)
      const request = httpRequest({
        host: '127.0.0.1',
        port: engine.port,
        method: call.method,
        path: call.path,
        // A connection of its own: one that the engine is just closing would look like a dead engine.
        agent: false,
        headers: {
          authorization: `Bearer ${engine.credential}`,
          accept: '*/*',
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        },
      })
      const finish = (result: HttpResult, location?: string) => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
        request.destroy()
        resolve({ result, ...(location === undefined ? {} : { location }) })
      }
      const onAbort = () => finish({ kind: 'reset' })
      const timer = clock.after(call.timeoutMs, () => finish({ kind: 'timeout' }))
      request.on('error', (error: NodeJS.ErrnoException) =>
        finish({ kind: error.code === 'ECONNREFUSED' ? 'refused' : 'reset' }),
      )
      request.on('response', (response) => {
        const chunks: Buffer[] = []
        let bytes = 0
        const answer = () =>
          finish(
            {
              kind: 'answer',
              status: response.statusCode ?? 0,
              body: Buffer.concat(chunks).toString('utf8').slice(0, MAX_BODY_BYTES),
            },
            response.headers.location,
          )
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          bytes += chunk.length
          if (bytes > MAX_BODY_BYTES) answer()
        })
        response.on('end', answer)
        response.on('error', () => finish({ kind: 'reset' }))
        response.on('close', () => finish({ kind: 'reset' }))
      })
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
      request.end(body)
    })

  return async (engine, call, signal) => {
    const { result, location } = await send(engine, call, signal)
    if (result.kind !== 'answer' || ![301, 302, 307, 308].includes(result.status)) return result
    const path = pathOnSameEngine(location, engine.port)
    return path === undefined ? result : (await send(engine, { ...call, path }, signal)).result
  }
}

/** The path of a redirect that stays with the engine. */
function pathOnSameEngine(location: string | undefined, port: number): string | undefined {
  if (location === undefined || !URL.canParse(location, `http://127.0.0.1:${port}`)) return undefined
  const url = new URL(location, `http://127.0.0.1:${port}`)
  const isLocal = ['127.0.0.1', 'localhost'].includes(url.hostname) && url.port === String(port)
  return isLocal ? url.pathname + url.search : undefined
}
