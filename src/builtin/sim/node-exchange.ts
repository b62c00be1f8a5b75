import type { IncomingMessage, ServerResponse } from 'node:http'
import { BODY_LIMIT_BYTES, type Exchange, type Reply, sendText } from './exchange.ts'

/** `handle` as a listener of a `node:http` server. */
export function nodeListener(handle: (exchange: Exchange) => void) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const reply = replyingOn(response)
    const pieces: Buffer[] = []
    let bytes = 0
    request.on('data', (piece: Buffer) => {
      bytes += piece.length
      if (bytes <= BODY_LIMIT_BYTES) pieces.push(piece)
      else if (!reply.closed) {
        sendText(reply, 413, '', { connection: 'close' })
        request.destroy()
      }
    })
    request.on('end', () => {
      if (reply.closed) return
      const url = request.url ?? '/'
      const query = url.indexOf('?')
      handle({
        method: request.method ?? 'GET',
        path: query < 0 ? url : url.slice(0, query),
        header: (name) => {
          const value = request.headers[name]
          return Array.isArray(value) ? value[0] : value
        },
        body: Buffer.concat(pieces, bytes).toString('utf8'),
        reply,
      })
    })
    request.on('error', () => reply.cut())
  }
}

/** What a client may leave unread before it counts as gone: a reader that stops must not fill our memory. */
const UNREAD_LIMIT_BYTES = 4 * 2 ** 20

function replyingOn(response: ServerResponse): Reply {
  const listeners: (() => void)[] = []
  let closed = false
  const close = (broken: boolean) => {
    if (closed) return
    closed = true
    if (broken) for (const run of listeners) run()
  }
  response.on('close', () => close(true))
  response.on('error', () => close(true))

  const reply: Reply = {
    get closed() {
      return closed
    },
    head(status, headers) {
      if (closed) return
      response.writeHead(status, { server: 'uvicorn', ...headers })
      // The head of a stream leaves before its first token; that of a body leaves with it.
      if (headers['content-length'] === undefined) response.flushHeaders()
    },
    write(chunk) {
      if (closed || chunk === '') return
      response.write(chunk)
      if (response.writableLength > UNREAD_LIMIT_BYTES) reply.cut()
    },
    end(chunk) {
      if (closed) return
      close(false)
      response.end(chunk)
    },
    cut() {
      if (closed) return
      close(true)
      // Lets what was written reach the client, then closes without the end of the answer.
      response.socket?.destroySoon()
    },
    onBroken(run) {
      if (closed) run()
      else listeners.push(run)
    },
  }
  return reply
}
