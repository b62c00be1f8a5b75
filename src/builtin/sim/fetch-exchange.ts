import type { Fetch } from '../../base/fetch.ts'
import { BODY_LIMIT_BYTES, type Exchange, type Reply } from './exchange.ts'

/**
 * `handle` as a Fetch, without a socket. A dropped connection looks as it does to a client of `fetch`: before
 * the head the promise rejects with a `TypeError` whose cause has a code, after it reading the body fails. The
 * request's signal, and cancelling the response's body, are the client leaving.
 */
export function fetchFrom(handle: (exchange: Exchange) => void): Fetch {
  return async (request) => {
    const body = await request.text()
    request.signal.throwIfAborted()
    return new Promise<Response>((resolve, reject) => {
      const reply = responding(request.signal, resolve, reject)
      if (Buffer.byteLength(body) > BODY_LIMIT_BYTES) {
        reply.head(413, {})
        reply.end()
        return
      }
      handle({
        method: request.method,
        path: new URL(request.url).pathname,
        header: (name) => request.headers.get(name) ?? undefined,
        body,
        reply,
      })
    })
  }
}

/** The error `fetch` gives when no connection could be made or it broke before the answer. */
export function connectionError(code: 'ECONNREFUSED' | 'ECONNRESET'): TypeError {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })
}

function responding(
  signal: AbortSignal,
  resolve: (response: Response) => void,
  reject: (reason: unknown) => void,
): Reply {
  const encoder = new TextEncoder()
  const listeners: (() => void)[] = []
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  let closed = false

  const close = (broken: boolean) => {
    if (closed) return false
    closed = true
    signal.removeEventListener('abort', onAbort)
    if (broken) for (const run of listeners) run()
    return true
  }
  const onAbort = () => {
    if (!close(true)) return
    controller?.error(signal.reason)
    reject(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })

  return {
    get closed() {
      return closed
    },
    head(status, headers) {
      if (closed) return
      const body = new ReadableStream<Uint8Array>({
        start: (started) => {
          controller = started
        },
        cancel: () => void close(true),
      })
      const bodyless = status === 204 || status === 304
      resolve(new Response(bodyless ? undefined : body, { status, headers }))
    },
    write(chunk) {
      if (!closed && chunk !== '') controller?.enqueue(encoder.encode(chunk))
    },
    end(chunk = '') {
      if (closed) return
      if (chunk !== '') controller?.enqueue(encoder.encode(chunk))
      close(false)
      controller?.close()
    },
    cut() {
      if (!close(true)) return
      controller?.error(
        new TypeError('terminated', {
          cause: Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }),
        }),
      )
      reject(connectionError('ECONNRESET'))
    },
    onBroken(run) {
      if (closed) run()
      else listeners.push(run)
    },
  }
}
