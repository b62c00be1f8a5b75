import { createServer, type Server, type Socket } from 'node:net'
import { eventually } from './eventually.testing.ts'

/** A request as the fake engine got it, and the hands to answer it in any way, also wrong ones. */
export class FakeRequest {
  readonly path: string
  readonly headers: ReadonlyMap<string, string>
  readonly rawHead: string
  readonly body: Buffer
  readonly socket: Socket
  /** Of the connection: 1 for the first. */
  readonly onConnection: number

  constructor(rawHead: string, body: Buffer, socket: Socket, onConnection: number) {
    this.rawHead = rawHead
    const [first = '', ...lines] = rawHead.split('\r\n')
    this.path = first.split(' ')[1] ?? ''
    this.headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    this.body = body
    this.socket = socket
    this.onConnection = onConnection
  }

  raw(text: string | Buffer): void {
    this.socket.write(text)
  }

  json(status: number, value: unknown, headers = ''): void {
    const text = JSON.stringify(value)
    this.raw(
      `HTTP/1.1 ${status} X\r\nserver: fake\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    )
  }

  /** Head of a stream; its pieces follow with `event` or `chunk`. */
  streamHead(): void {
    this.raw(
      'HTTP/1.1 200 OK\r\nserver: fake\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n',
    )
  }

  chunk(payload: string | Buffer): void {
    const bytes = Buffer.from(payload)
    this.raw(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]))
  }

  event(data: unknown): void {
    this.chunk(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
  }

  endStream(): void {
    this.raw('0\r\n\r\n')
  }

  die(): void {
    this.socket.destroy()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }
}

export class FakeUpstream {
  readonly port: number
  readonly requests: FakeRequest[] = []
  readonly sockets = new Set<Socket>()
  /** Connections that were opened. */
  connections = 0
  /** Answers a request; replaced by each test. */
  answer: (request: FakeRequest) => void = (request) => request.json(200, CHAT_ANSWER)
  readonly #server: Server

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async start(port = 0): Promise<FakeUpstream> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return new FakeUpstream(server, (server.address() as { port: number }).port)
  }

  /** The n-th request, when it is here. */
  async request(n = 1): Promise<FakeRequest> {
    await eventually(() => this.requests.length >= n, `upstream request ${n}`)
    return this.requests[n - 1] as FakeRequest
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #accept(socket: Socket): void {
    this.connections++
    this.sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.sockets.delete(socket))
    let pending = Buffer.alloc(0)
    let served = 0
    socket.on('data', (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes])
      for (;;) {
        const end = pending.indexOf('\r\n\r\n')
        if (end === -1) return
        const head = pending.toString('latin1', 0, end)
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
        if (pending.length < end + 4 + length) return
        const request = new FakeRequest(head, pending.subarray(end + 4, end + 4 + length), socket, ++served)
        pending = pending.subarray(end + 4 + length)
        this.requests.push(request)
        this.answer(request)
      }
    })
  }
}

export const CHAT_ANSWER = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'tiny',
  choices: [
    { index: 0, message: { role: 'assistant', content: 'hé "error" \\"usage\\"' }, finish_reason: 'stop' },
  ],
  usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
}

/** Events of a stream, as engines send them. */
export const delta = (content: string) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
})
export const roleDelta = {
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }],
}
export const finish = (reason: string) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  choices: [{ index: 0, delta: {}, finish_reason: reason }],
})
