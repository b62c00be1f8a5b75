import { randomBytes } from 'node:crypto'
import {
  type ClientRequest,
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type Server,
} from 'node:http'
import { type AddressInfo, connect, Socket, type TcpNetConnectOpts } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Client } from '../api/client.ts'
import type { GatewayView } from '../api/objects.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { hashSecret, makeKey } from '../base/key-format.ts'
import { jsonLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { Key, Scope } from '../domain/access.ts'
import { eventually } from './eventually.testing.ts'
import { createGateway, type Gateway, type GatewayDeps } from './gateway.ts'
import type { GatewaySettings } from './settings.ts'
import type { ViewCache } from './view-cache.ts'

export const PEPPER = 'ab'.repeat(32)

/** A key as control would make it, with its secret. */
export function keyWith(more: Partial<Key> & { scopes: Scope[] }): { text: string; key: Key } {
  const { text, id, secret } = makeKey('yk', randomBytes)
  return { text, key: { id, name: 'test', hash: hashSecret(PEPPER, secret), createdAtMs: 0, ...more } }
}

type ViewEndpoint = GatewayView['endpoints'][number]

export function endpointAt(port: number, more: Partial<ViewEndpoint> = {}): ViewEndpoint {
  return {
    replica: `tiny-${port}`,
    model: 'tiny',
    node: 'here',
    engine: 'vllm',
    address: { kind: 'node', agentUrl: 'http://127.0.0.1:7702', port },
    adapters: [],
    state: 'ready',
    planVersion: 1,
    credential: 'engine-secret',
    ...more,
  }
}

/** A gateway on a real socket, with a clock that moves only when told. */
export class TestGateway {
  readonly clock = new FakeClock()
  readonly lines: Record<string, unknown>[] = []
  readonly logText: string[] = []
  readonly gateway: Gateway
  readonly port: number
  readonly user = keyWith({ scopes: ['inference'] })
  readonly reader = keyWith({ scopes: ['read'] })
  readonly manager = keyWith({ scopes: ['manage'] })
  view: GatewayView
  readonly #server: Server

  private constructor(server: Server, options: TestGatewayOptions) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    const log = jsonLog(
      (line) => {
        this.logText.push(line)
        this.lines.push(JSON.parse(line))
      },
      this.clock,
      { part: 'gateway' },
    )
    this.gateway = createGateway({
      control: options.control ?? { call: () => new Promise(() => {}) },
      clock: this.clock,
      random: seededRandom(1),
      log,
      // Names of other machines all lead here.
      connect: options.connect ?? ((to) => connect({ ...to, host: '127.0.0.1' } as TcpNetConnectOpts)),
      connectTls: options.connectTls ?? (() => new TLSSocket(new Socket())),
      env: (name) => options.env?.[name],
      ...(options.settings ? { settings: options.settings } : {}),
      ...(options.cache ? { cache: options.cache } : {}),
    })
    server.on('request', this.gateway.listener)
    this.gateway.adopt(server)
    this.view = {
      revision: 1,
      planVersion: 1,
      models: [{ name: 'tiny', createdAtMs: 1_700_000_000_000, adapters: [], phase: 'ready' }],
      endpoints: [],
      keys: [this.user.key, this.reader.key, this.manager.key],
      pepper: PEPPER,
    }
  }

  static async start(options: TestGatewayOptions = {}): Promise<TestGateway> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const gateway = new TestGateway(server, options)
    if (options.endpoints !== undefined) gateway.show({ endpoints: options.endpoints })
    return gateway
  }

  /** Gives the gateway a changed view. */
  show(change: Partial<GatewayView>): void {
    this.view = { ...this.view, ...change, revision: this.view.revision + 1 }
    this.gateway.applyView(this.view)
  }

  /** The log lines of requests. */
  get requestLines(): Record<string, unknown>[] {
    return this.lines.filter(({ event }) => event === 'request')
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Sent {
    const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body)
    return new Sent(this.port, 'POST', path, text, {
      authorization: `Bearer ${this.user.text}`,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(text)),
      ...headers,
    })
  }

  chat(more: Record<string, unknown> = {}, headers: Record<string, string> = {}): Sent {
    return this.post(
      '/v1/chat/completions',
      { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], ...more },
      headers,
    )
  }

  get(path: string, headers: Record<string, string> = { authorization: `Bearer ${this.user.text}` }): Sent {
    return new Sent(this.port, 'GET', path, undefined, headers)
  }

  rawSocket(): Socket {
    return connect(this.port, '127.0.0.1')
  }

  async close(): Promise<void> {
    this.gateway.close()
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

export interface TestGatewayOptions {
  readonly settings?: Partial<GatewaySettings>
  readonly endpoints?: GatewayView['endpoints']
  readonly control?: Pick<Client, 'call'>
  readonly cache?: ViewCache
  readonly connect?: GatewayDeps['connect']
  readonly connectTls?: GatewayDeps['connectTls']
  readonly env?: Readonly<Record<string, string>>
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** False when the connection broke before the end of the answer. */
  readonly whole: boolean
}

/** A request on its way, seen from its client. */
export class Sent {
  status = 0
  headers: IncomingHttpHeaders = {}
  body = ''
  /** What was read, piece by piece. */
  readonly pieces: string[] = []
  ended: boolean | undefined
  error: NodeJS.ErrnoException | undefined
  readonly #request: ClientRequest

  constructor(
    port: number,
    method: string,
    path: string,
    body: string | Buffer | undefined,
    headers: Record<string, string>,
  ) {
    this.#request = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false })
    this.#request.on('error', (error) => {
      this.error = error
      this.ended ??= false
    })
    this.#request.on('response', (response) => {
      this.status = response.statusCode ?? 0
      this.headers = response.headers
      response.on('data', (bytes: Buffer) => {
        this.pieces.push(bytes.toString('utf8'))
        this.#bytes.push(bytes)
        this.body = Buffer.concat(this.#bytes).toString('utf8')
      })
      response.on('end', () => {
        this.ended ??= true
      })
      response.on('error', () => {
        this.ended ??= false
      })
      response.on('close', () => {
        this.ended ??= response.complete
      })
    })
    this.#request.end(body)
  }

  readonly #bytes: Buffer[] = []

  /** The answer, once it ended in one way or the other. */
  async answer(): Promise<Answered> {
    await eventually(() => this.ended !== undefined, 'the answer ends')
    return { status: this.status, headers: this.headers, body: this.body, whole: this.ended === true }
  }

  leave(): void {
    this.#request.destroy()
  }
}
