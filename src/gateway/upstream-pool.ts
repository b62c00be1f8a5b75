import type { NetConnectOpts, Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import type { UpstreamCall, UpstreamFault, UpstreamListener, UpstreamTarget } from './upstream.ts'
import { type Carried, Connection, type ConnectionHome } from './upstream-connection.ts'

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

class Pool implements UpstreamPool, ConnectionHome {
  readonly deps: PoolDeps
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
class Call implements UpstreamCall, Carried {
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
