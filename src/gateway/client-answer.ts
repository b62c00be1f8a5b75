import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'

/** Names and values in turn, as `writeHead` takes them. */
export type HeaderList = string[]

/**
 * What one client is sent. Text is bytes as latin1: a small answer leaves as one string with its head, in one
 * write, and a piece of a stream as one string with its chunk framing.
 */
export class ClientAnswer {
  readonly #response: ServerResponse
  readonly #clock: Clock
  /** The socket, when stream pieces may be written to it directly. */
  #direct: Socket | undefined
  #chunked = false
  #begun = false
  #headWaits = false

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response
    this.#clock = clock
  }

  /** True once the status has gone out. */
  get begun(): boolean {
    return this.#begun
  }

  /** Head and body together. */
  whole(status: number, headers: HeaderList, text: string): void {
    this.#begun = true
    headers.push('content-length', String(text.length))
    const response: ServerResponse & Partial<Sending> = this.#response
    response.writeHead(status, headers)
    if (response._send === undefined || response.socket === null) {
      response.end(text, 'latin1')
      return
    }
    response._send(text, 'latin1')
    response.end()
  }

  /** Head of an answer that is to come in pieces; it leaves together with the first. */
  begin(status: number, headers: HeaderList): void {
    this.#begun = true
    const response = this.#response
    response.writeHead(status, headers)
    this.#chunked = response.chunkedEncoding
    // Without a socket the answer to an earlier request on this connection is not out yet: Node keeps the order.
    this.#direct = response.socket ?? undefined
    this.#headWaits = true
  }

  /** False when the client is behind: wait for `onDrain` before giving more. */
  write(text: string): boolean {
    if (text === '') return true
    const socket = this.#direct
    if (socket === undefined) return this.#response.write(text, 'latin1')
    const headWaits = this.#headWaits
    if (headWaits) {
      this.#headWaits = false
      socket.cork()
      this.#response.flushHeaders()
    }
    // What Node would do for a chunk takes four buffers; this is one string.
    socket.write(this.#chunked ? `${text.length.toString(16)}\r\n${text}\r\n` : text, 'latin1')
    if (headWaits) socket.uncork()
    return socket.writableLength < MOST_WAITING_BYTES
  }

  onDrain(run: () => void): void {
    const stream = this.#direct ?? this.#response
    stream.once('drain', run)
  }

  /** The last piece and a proper end. */
  end(text: string): void {
    const socket = this.#direct
    socket?.cork()
    this.write(text)
    this.#response.end()
    socket?.uncork()
  }

  /** Last piece, then the connection is cut without the mark of a proper end, so that nobody takes it for one. */
  breakOff(text: string): void {
    const { socket } = this.#response
    if (this.#direct === undefined || socket === null) {
      this.#response.destroy()
      return
    }
    this.write(text)
    socket.destroySoon()
    this.#clock.after(LAST_WORDS_MS, () => socket.destroy())
  }

  isOn(socket: Duplex): boolean {
    return this.#response.socket === socket
  }

  destroy(): void {
    this.#response.destroy()
  }

  /**
   * Answers a request whose body is not wanted, and hangs up. The rest of the body is read and dropped for a
   * while: closing at once would reset the connection and take the answer with it.
   */
  refuse(status: number, headers: HeaderList, text: string): void {
    this.#begun = true
    const response = this.#response
    const { socket } = response
    if (socket === null) {
      response.destroy()
      return
    }
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
    for (let at = 0; at + 1 < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`
    socket.end(`${head}content-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`, 'latin1')
    this.#clock.after(LINGER_MS, () => socket.destroy())
  }
}

/**
 * What `end` calls inside to put head and body into one string. Called by `end` itself it is followed by an empty
 * buffer, for which Node takes the slower way of writing many: a sixth of the cost of a small answer.
 */
interface Sending {
  _send(text: string, encoding: 'latin1'): boolean
}

const MOST_WAITING_BYTES = 64 * 1024
const LAST_WORDS_MS = 5_000
const LINGER_MS = 2_000
