import { isIP, type NetConnectOpts, type Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { ResponseParser } from './response-parser.ts'
import type { UpstreamFault, UpstreamListener, UpstreamTarget } from './upstream.ts'

/** What a connection needs of the pool that it belongs to. */
export interface ConnectionHome {
  readonly deps: {
    readonly connect: (options: NetConnectOpts) => Socket
    readonly connectTls: (options: ConnectionOptions) => TLSSocket
  }
  /** What a read of any plain socket fills. Shared, because a read is dealt with before the next one begins. */
  readonly readBuffer: Buffer
  /** It carries nothing now and may be used again. */
  keep(connection: Connection): void
  forget(connection: Connection): void
}

/** A request that a connection carries. */
export interface Carried {
  readonly listener: UpstreamListener | undefined
  /** The answer has begun. */
  answered(): void
  /** The connection is lost before the end of the answer. `wasKept`: it had carried another request before. */
  lost(fault: UpstreamFault, wasKept: boolean): void
  /** Lets go of the connection; the listener to be told of the end. */
  over(): UpstreamListener | undefined
}

/** One raw socket to an upstream, with one request at a time. */
export class Connection {
  readonly address: string
  idleSinceMs = 0
  readonly #home: ConnectionHome
  readonly #socket: Socket
  readonly #parser: ResponseParser
  #call: Carried | undefined
  /** It has carried a request before the present one. */
  #kept = false
  #connected = false
  #gone = false
  #paused = false

  constructor(home: ConnectionHome, target: UpstreamTarget) {
    this.address = target.address
    this.#home = home
    this.#parser = new ResponseParser({
      onHead: (head) => {
        this.#call?.answered()
        this.#call?.listener?.onHead(head)
      },
      onBody: (text) => this.#call?.listener?.onBody(text),
      onEnd: (reusable) => this.#onEnd(reusable),
    })
    this.#socket = target.tls ? this.#connectTls(target) : this.#connect(target)
    this.#socket.setNoDelay(true)
    // An answer may take long to begin; a machine that is gone without a word must not look like one at work.
    this.#socket.setKeepAlive(true, PROBE_AFTER_MS)
    this.#socket.on('end', () => this.#onHangUp())
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#lose(faultOf(error, this.#connected)))
    this.#socket.on('close', () => this.#lose({ kind: 'reset', message: 'the connection closed' }))
  }

  carry(call: Carried, head: string, body: Buffer): void {
    this.#call = call
    this.#parser.expect()
    if (body.length <= ONE_WRITE_BYTES) {
      const bytes = Buffer.allocUnsafe(head.length + body.length)
      bytes.write(head, 0, 'latin1')
      body.copy(bytes, head.length)
      this.#socket.write(bytes)
    } else {
      this.#socket.cork()
      this.#socket.write(head, 'latin1')
      this.#socket.write(body)
      this.#socket.uncork()
    }
    if (this.#connected) call.listener?.onSent()
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }

  destroy(): void {
    if (this.#gone) return
    this.#gone = true
    this.#call = undefined
    this.#parser.stop()
    this.#home.forget(this)
    this.#socket.destroy()
  }

  #connect(target: UpstreamTarget): Socket {
    const socket = this.#home.deps.connect({
      host: target.host,
      port: target.port,
      onread: {
        buffer: this.#home.readBuffer,
        callback: (length: number) => {
          this.#onRead(this.#home.readBuffer.toString('latin1', 0, length))
          return !this.#paused
        },
      },
    })
    socket.on('connect', () => this.#onConnect())
    return socket
  }

  #connectTls(target: UpstreamTarget): Socket {
    const socket = this.#home.deps.connectTls({
      host: target.host,
      port: target.port,
      ...(isIP(target.host) ? {} : { servername: target.host }),
      ALPNProtocols: ['http/1.1'],
    })
    socket.on('secureConnect', () => this.#onConnect())
    socket.on('data', (bytes: Buffer) => this.#onRead(bytes.toString('latin1')))
    return socket
  }

  #onConnect(): void {
    this.#connected = true
    this.#call?.listener?.onSent()
  }

  #onRead(text: string): void {
    if (this.#gone) return
    const call = this.#call
    const wrong = this.#parser.take(text)
    if (wrong !== undefined) this.#lose({ kind: 'bad_response', message: wrong })
    else if (call !== undefined && this.#call === call) call.listener?.onReadEnd()
  }

  #onEnd(reusable: boolean): void {
    const call = this.#call
    this.#call = undefined
    const listener = call?.over()
    if (reusable && !this.#paused) {
      this.#kept = true
      this.#home.keep(this)
    } else this.destroy()
    listener?.onEnd(reusable)
  }

  #onHangUp(): void {
    if (this.#gone) return
    if (!this.#parser.takeEnd()) this.#lose({ kind: 'reset', message: 'the upstream hung up' })
  }

  #lose(fault: UpstreamFault): void {
    if (this.#gone) return
    const call = this.#call
    this.destroy()
    call?.lost(fault, this.#kept && fault.kind !== 'bad_response')
  }
}

const ONE_WRITE_BYTES = 16 * 1024
/** Silence after which the other machine is asked whether it is there; it is given up after ten seconds more of it. */
const PROBE_AFTER_MS = 15_000

function faultOf(error: NodeJS.ErrnoException, connected: boolean): UpstreamFault {
  const message = error.code ?? error.message
  if (error.code === 'ECONNREFUSED') return { kind: 'refused', message }
  return { kind: connected ? 'reset' : 'unreachable', message }
}
