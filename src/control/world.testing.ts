import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { openApiDocument } from '../api/openapi.ts'
import type { Operation } from '../api/operation.ts'
import { API_PREFIX, pathOf } from '../api/operation.ts'
import { type Operations, operations } from '../api/operations.ts'
import { FakeClock } from '../base/fake-clock.ts'
import type { Fetch } from '../base/fetch.ts'
import { jsonLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { openMemoryStore } from '../store/memory-store.ts'
import type { Store } from '../store/store.ts'
import { type ControlApp, createControlApp } from './app.ts'
import { bootstrapAdminKey } from './bootstrap.ts'
import { FakeAgent } from './fake-agent.testing.ts'

export const PEPPER = '5e'.repeat(32)

// biome-ignore lint/suspicious/noExplicitAny: looked into by name; a wrong name fails the test.
const DOCUMENT: any = openApiDocument('0.0.0-test')

type ResultOf<Op> = Op extends Operation<infer _P, infer _Q, infer _B, infer Result> ? Result : never

export interface Input {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | number>>
  readonly body?: unknown
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers by name; a wrong name fails them.
  readonly body: any
}

export interface Server {
  readonly id: string
  readonly app: ControlApp
  readonly store: Store
  stop(): Promise<void>
}

/** A control plane of one or more servers over one memory store, on a fake clock. */
export class ControlWorld {
  readonly clock = new FakeClock()
  readonly memory: Store
  readonly logs: string[] = []
  /** Every body that was answered. */
  readonly answers: string[] = []
  readonly servers: Server[] = []
  adminKey = ''
  agentFetch: (url: string) => Fetch = () => () => Promise.reject(new TypeError('no agent here'))
  readonly #random = seededRandom(7)

  constructor() {
    this.memory = openMemoryStore({ clock: this.clock })
  }

  /** Bytes that are different each time and the same in each run. */
  readonly randomBytes = (size: number): Uint8Array =>
    createHash('sha512').update(String(this.#random())).digest().subarray(0, size)

  /** Starts a server; `wrap` stands between it and the store. */
  async start(id: string, wrap: (store: Store) => Store = (store) => store): Promise<Server> {
    const store = wrap(this.memory)
    const stopping = new AbortController()
    const app = createControlApp({
      store,
      clock: this.clock,
      random: seededRandom(id.length + id.charCodeAt(0)),
      randomBytes: this.randomBytes,
      log: jsonLog((line) => void this.logs.push(line), this.clock, { part: id, level: 'debug' }),
      pepper: PEPPER,
      agentFetch: (url) => this.agentFetch(url),
      version: '0.0.0-test',
      serverId: id,
      gatewayUrl: 'http://127.0.0.1:7700',
    })
    const running = app.run(stopping.signal)
    const stop = async () => {
      stopping.abort()
      await this.settle(running)
    }
    const server = { id, app, store, stop }
    this.servers.push(server)
    await this.clock.advance(1_000)
    return server
  }

  /** Lets time pass until a promise is settled. */
  async settle<Value>(promise: Promise<Value>): Promise<Value> {
    let settled = false
    const end = () => {
      settled = true
    }
    promise.then(end, end)
    await this.clock.advance(0)
    for (let turn = 0; !settled && turn < 10_000; turn++) await this.clock.advance(20)
    return promise
  }

  /** Lets time pass, a step at a time, until it holds; fails with what did not happen. */
  async until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 120_000): Promise<void> {
    const endMs = this.clock.now() + withinMs
    while (!(await holds())) {
      if (this.clock.now() >= endMs) expect.fail(`did not happen within ${withinMs} ms: ${what}`)
      await this.clock.advance(250)
    }
  }

  /** One request, answered with its status, headers and parsed body. */
  async send(
    id: keyof Operations,
    input: Input = {},
    token: string | undefined = this.adminKey,
    server = this.servers[0]!,
  ): Promise<Answer> {
    const operation: Operation = operations[id]
    const url = new URL(`http://control.test${pathOf(operation, input.params ?? {})}`)
    for (const [name, value] of Object.entries(input.query ?? {})) url.searchParams.set(name, String(value))
    const request = new Request(url, {
      method: operation.method,
      headers: {
        ...(token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(operation.body ? { 'content-type': 'application/json' } : {}),
      },
      ...(operation.body ? { body: JSON.stringify(input.body ?? {}) } : {}),
    })
    const answer = await this.sendRequest(request, server)
    if (answer.status >= 400) {
      const documented = DOCUMENT.paths[API_PREFIX + operation.path][operation.method.toLowerCase()].responses
      expect(documented[answer.status]?.description.split(', '), id).toContain(answer.body.error.code)
    }
    return answer
  }

  async sendRequest(request: Request, server = this.servers[0]!): Promise<Answer> {
    const response = await this.settle(server.app.fetch(request))
    const text = await this.settle(response.text())
    this.answers.push(text)
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }

  /** One operation that must succeed and answer exactly what its schema says, not a field more. */
  async call<Id extends keyof Operations>(
    id: Id,
    input: Input = {},
    token: string | undefined = this.adminKey,
    server = this.servers[0]!,
  ): Promise<ResultOf<Operations[Id]>> {
    const { status, body } = await this.send(id, input, token, server)
    const operation: Operation = operations[id]
    expect({ id, status, body: status >= 400 ? body : undefined }).toEqual({ id, status: operation.status })
    if (operation.result) expect(operation.result.parse(body)).toEqual(body)
    return body
  }

  /** A node that joins with a token of its own. */
  async agent(name: string, server = this.servers[0]!): Promise<FakeAgent> {
    const agent = new FakeAgent(this, name, server)
    await agent.join()
    return agent
  }

  async model(name: string) {
    return this.call('getModel', { params: { name } })
  }

  async replicas(model: string) {
    return (await this.call('listReplicas', { query: { model } })).items
  }

  /** Reasons of all events of an object, oldest first. */
  async events(kind: string, name: string): Promise<string[]> {
    const { items } = await this.call('listEvents', { query: { kind, name, limit: 1000 } })
    return items.map((event) => event.reason)
  }

  /** Keys in the store, without those that each test has. */
  async keysLeft(): Promise<string[]> {
    const { entries } = await this.memory.list('/yard/v1/')
    const always = /^\/yard\/v1\/(events|keys|leader|bootstrap|plan|nodes|node-[a-z]+|join-tokens)\//
    return entries.map((entry) => entry.key).filter((key) => !always.test(key))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.servers) await server.stop()
    await this.memory.close()
  }
}

/** A world with one server, started. */
export async function openControlWorld(wrap?: (store: Store) => Store): Promise<ControlWorld> {
  const world = new ControlWorld()
  const { memory: store, clock, randomBytes } = world
  world.adminKey = (await bootstrapAdminKey({ store, clock, randomBytes, pepper: PEPPER })) ?? ''
  await world.start('alpha', wrap)
  return world
}

/** A store that refuses every nth transaction, as if another had been faster. */
export function refusingStore(store: Store, every: number): Store & { refused: number } {
  let count = 0
  return {
    refused: 0,
    get: (key) => store.get(key),
    list: (prefix, options) => store.list(prefix, options),
    async txn(compare, ops) {
      count++
      if (count % every !== 0) return store.txn(compare, ops)
      this.refused++
      const { revision } = await store.list('/none/')
      return { kind: 'conflict', revision, conflicts: compare.slice(0, 1).map(({ key }) => key) }
    },
    watch: (prefix, after, signal) => store.watch(prefix, after, signal),
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    keepAlive: (leaseId) => store.keepAlive(leaseId),
    revokeLease: (leaseId) => store.revokeLease(leaseId),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
  }
}
