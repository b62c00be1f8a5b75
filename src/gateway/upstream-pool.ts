import { isIP, type NetConnectOpts, type Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import { ResponseParser } from './response-parser.ts'
import type { UpstreamCall, UpstreamFault, UpstreamListener, UpstreamTarget } from './upstream.ts'

export interface PoolDeps {
  readonly clock: Clock
  /** `net.connect` */
  readonly connect: (options: NetConnectOpts) => Socket
  /** `tls.connect` */
  readonly connectTls: (options: ConnectionOptions) => TLSSocket
  readonly maxIdlePerAddress: number
  readonly idleMs: number
}

/**
 * Keep-alive connections to upstreams, one request at a time on each. Raw sockets and our own parser: against the
 * standard client this is half the processor time of a small request.
 */
export interface UpstreamPool {
  /**
   * Sends a request (head and body, whole). A kept connection that turns out to be closed before any byte of the
   * answer is replaced by a new one unseen: the peer hung up while idle, and that is no failure of the replica.
   */
  send(target: UpstreamTarget, head: string, body: Buffer, listener: UpstreamListener): UpstreamCall
  readonly openConnections: number
  close(): void
}

export function createUpstreamPool(deps: PoolDeps): UpstreamPool {
  return new Pool(deps)
}

class Pool implements UpstreamPool {
  readonly deps: PoolDeps
  /** What a read of any plain socket fills. Shared, because a read is dealt with before the next one begins. */
  readonly readBuffer = Buffer.allocUnsafeSlow(64 * 1024)
  readonly #idle = new Map<string, Connection[]>()
  readonly #open = new Set<Connection>()
  #sweeping = false

  constructor(deps: PoolDeps) {
    this.deps = deps
  }

  get openConnections(): number {
    return this.#open.size
  }

  send(target: UpstreamTarget, head: string, body: Buffer, listener: UpstreamListener): UpstreamCall {
    const call = new Call(this, target, head, body, listener)
    const kept = this.#idle.get(target.address)?.pop()
    call.start(kept ?? this.open(target))
    return call
  }

  open(target: UpstreamTarget): Connection {
    const connection = new Connection(this, target)
    this.#open.add(connection)
    return connection
  }

  keep(connection: Connection): void {
    const idle = this.#idle.get(connection.address)
    if (idle === undefined) this.#idle.set(connection.address, [connection])
    else if (idle.length >= this.deps.maxIdlePerAddress) {
      connection.destroy()
      return
    } else idle.push(connection)
    connection.idleSinceMs = this.deps.clock.monotonicMs()
    this.#sweepLater()
  }

  forget(connection: Connection): void {
    this.#open.delete(connection)
    const idle = this.#idle.get(connection.address)
    const place = idle?.indexOf(connection) ?? -1
    if (idle !== undefined && place !== -1) idle.splice(place, 1)
  }

  close(): void {
    for (const connection of [...this.#open]) connection.destroy()
  }

  #sweepLater(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.deps.clock.after(this.deps.idleMs / 4, () => {
      this.#sweeping = false
      const oldestMs = this.deps.clock.monotonicMs() - this.deps.idleMs
      for (const [address, idle] of this.#idle) {
        for (const connection of idle.filter((each) => each.idleSinceMs <= oldestMs)) connection.destroy()
        if (idle.length === 0) this.#idle.delete(address)
      }
      if (this.#idle.size > 0) this.#sweepLater()
    })
  }
}

/** One request, over the connections that it may take. */
class Call implements UpstreamCall {
  readonly #pool: Pool
  readonly #target: UpstreamTarget
  readonly #head: string
  #body: Buffer | undefined
  /** Undefined once the call is over. */
  listener: UpstreamListener | undefined
  #connection: Connection | undefined

  constructor(pool: Pool, target: UpstreamTarget, head: string, body: Buffer, listener: UpstreamListener) {
    this.#pool = pool
    this.#target = target
    this.#head = head
    this.#body = body
    this.listener = listener
  }

  start(connection: Connection): void {
    this.#connection = connection
    if (this.#body !== undefined) connection.carry(this, this.#head, this.#body)
  }

  /** The answer has begun: the request will not be sent again. */
  answered(): void {
    this.#body = undefined
  }

  lost(fault: UpstreamFault, wasKept: boolean): void {
    if (wasKept && this.#body !== undefined && this.listener !== undefined) {
      this.start(this.#pool.open(this.#target))
      return
    }
    this.over()?.onFault(fault)
  }

  over(): UpstreamListener | undefined {
    const listener = this.listener
    this.listener = undefined
    this.#connection = undefined
    this.#body = undefined
    return listener
  }

  abort(): void {
    const connection = this.#connection
    this.over()
    connection?.destroy()
  }

  pause(): void {
    this.#connection?.pause()
  }

  resume(): void {
    this.#connection?.resume()
  }

  letFinish(): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.listener = INDIFFERENT
    connection.resume()
    this.#pool.deps.clock.after(FINISH_MS, () => {
      if (this.#connection === connection) this.abort()
    })
  }
}

class Connection {
  readonly address: string
  idleSinceMs = 0
  readonly #pool: Pool
  readonly #socket: Socket
  readonly #parser: ResponseParser
  #call: Call | undefined
  /** It has carried a request before the present one. */
  #kept = false
  #connected = false
  #gone = false
  #paused = false

  constructor(pool: Pool, target: UpstreamTarget) {
    this.address = target.address
    this.#pool = pool
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
    this.#socket.on('end', () => this.#onHangUp())
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.#lose(faultOf(error, this.#connected)))
    this.#socket.on('close', () => this.#lose({ kind: 'reset', message: 'the connection closed' }))
  }

  carry(call: Call, head: string, body: Buffer): void {
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
    this.#pool.forget(this)
    this.#socket.destroy()
  }

  #connect(target: UpstreamTarget): Socket {
    const socket = this.#pool.deps.connect({
      host: target.host,
      port: target.port,
      onread: {
        buffer: this.#pool.readBuffer,
        callback: (length: number) => {
          this.#onRead(this.#pool.readBuffer.toString('latin1', 0, length))
          return !this.#paused
        },
      },
    })
    socket.on('connect', () => this.#onConnect())
    return socket
  }

  #connectTls(target: UpstreamTarget): Socket {
    const socket = this.#pool.deps.connectTls({
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
      this.#pool.keep(this)
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

const INDIFFERENT: UpstreamListener = {
  onSent: () => {},
  onHead: () => {},
  onBody: () => {},
  onReadEnd: () => {},
  onEnd: () => {},
  onFault: () => {},
}

/** How long an answer of which all is known may take to end, before its connection is given up. */
const FINISH_MS = 1_000
const ONE_WRITE_BYTES = 16 * 1024

function faultOf(error: NodeJS.ErrnoException, connected: boolean): UpstreamFault {
  const message = error.code ?? error.message
  if (error.code === 'ECONNREFUSED') return { kind: 'refused', message }
  return { kind: connected ? 'reset' : 'unreachable', message }
}
