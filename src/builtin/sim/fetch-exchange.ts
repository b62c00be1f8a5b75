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
  const listeners: (() => void)[] = []
  const body = unreadBody(() => void close(true))
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
    body.fail(signal.reason)
    reject(signal.reason)
  }
  signal.addEventListener('abort', onAbort, { once: true })

  return {
    get closed() {
      return closed
    },
    head(status, headers) {
      if (!closed) resolve(new Response(body.stream, { status, headers }))
    },
    write(chunk) {
      if (!closed) body.add(chunk)
    },
    end(chunk = '') {
      if (closed) return
      body.add(chunk)
      close(false)
      body.finish(undefined)
    },
    cut() {
      if (!close(true)) return
      body.finish(connectionLost())
      reject(connectionError('ECONNRESET'))
    },
    onBroken(run) {
      if (closed) run()
      else listeners.push(run)
    },
  }
}

/** What reading a body throws when its connection goes: undici's words. */
function connectionLost(): TypeError {
  return new TypeError('terminated', {
    cause: Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }),
  })
}

/**
 * A body whose reader gets everything written before the end or the break, whenever it reads: a stream's own
 * queue would be lost on an error, while bytes on a socket are not.
 */
function unreadBody(onCancel: () => void) {
  const encoder = new TextEncoder()
  let unread = ''
  let finished: { readonly error: unknown } | undefined
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  let wanted: (() => void) | undefined

  const deliver = () => {
    if (wanted === undefined || (unread === '' && finished === undefined)) return
    if (unread !== '') {
      controller?.enqueue(encoder.encode(unread))
      unread = ''
    } else if (finished?.error === undefined) controller?.close()
    else controller?.error(finished.error)
    wanted()
    wanted = undefined
  }
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (started) => {
        controller = started
      },
      pull: () =>
        new Promise<void>((resolve) => {
          wanted = resolve
          deliver()
        }),
      cancel: onCancel,
    },
    { highWaterMark: 0 },
  )
  return {
    stream,
    add(chunk: string) {
      unread += chunk
      deliver()
    },
    finish(error: unknown) {
      finished = { error }
      deliver()
    },
    fail: (reason: unknown) => controller?.error(reason),
  }
}
