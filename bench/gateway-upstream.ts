import { createServer, type Socket } from 'node:net'

/** Of a stream: how many events and how long between two. */
export interface StreamShape {
  readonly events: number
  readonly paceMs: number
}

/**
 * A stand-in for engines that costs next to nothing: answers fixed bytes over raw sockets, a JSON object of about
 * 0.8 KB or a stream of paced events, whichever the request asks for.
 */
export function serveUpstream(ports: readonly number[], shape: StreamShape): void {
  const beating = new Set<{ socket: Socket; left: number }>()
  setInterval(() => {
    for (const stream of beating) {
      if (stream.socket.destroyed) beating.delete(stream)
      else if (--stream.left > 0) stream.socket.write(EVENT, 'latin1')
      else {
        stream.socket.write(LAST, 'latin1')
        beating.delete(stream)
      }
    }
  }, shape.paceMs)
  for (const port of ports) {
    createServer({ noDelay: true }, (socket) => {
      let pending = ''
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        pending += bytes.toString('latin1')
        for (;;) {
          const end = pending.indexOf('\r\n\r\n')
          if (end === -1) return
          const length = Number(/content-length: (\d+)/i.exec(pending.slice(0, end))?.[1] ?? 0)
          if (pending.length < end + 4 + length) return
          const isStream = pending.indexOf('"stream":true', end) !== -1
          pending = pending.slice(end + 4 + length)
          if (isStream) {
            socket.write(STREAM_HEAD + EVENT, 'latin1')
            beating.add({ socket, left: shape.events })
          } else socket.write(ANSWER, 'latin1')
        }
      })
    }).listen(port, '127.0.0.1')
  }
}

const BODY = JSON.stringify({
  id: 'chatcmpl-0123456789abcdef',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'tiny',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'All is quiet in the yard. '.repeat(22) },
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 210, completion_tokens: 120, total_tokens: 330 },
})
const ANSWER = `HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: ${BODY.length}\r\ncontent-type: application/json\r\n\r\n${BODY}`
const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n'

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`
}

const EVENT = chunk(
  `data: ${JSON.stringify({
    id: 'chatcmpl-0123456789abcdef',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'tiny',
    choices: [{ index: 0, delta: { content: ' yard' }, logprobs: null, finish_reason: null }],
  })}\n\n`,
)
const LAST = `${chunk(
  `data: ${JSON.stringify({
    id: 'chatcmpl-0123456789abcdef',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta: {}, finish_reason: 'stop' }],
  })}\n\ndata: [DONE]\n\n`,
)}0\r\n\r\n`
