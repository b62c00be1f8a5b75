import { setMaxListeners } from 'node:events'
import { createAgent } from '../../src/agent/agent.ts'
import { type Client, createClient } from '../../src/api/client.ts'
import type { GatewayView } from '../../src/api/objects.ts'
import { operations } from '../../src/api/operations.ts'
import { errorText } from '../../src/base/errors.ts'
import { FakeClock } from '../../src/base/fake-clock.ts'
import { type Log, silentLog } from '../../src/base/log.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { bootstrapAdminKey, type ControlApp, createControlApp } from '../../src/control/index.ts'
import { engineOf } from '../../src/engines/registry.ts'
import { followView } from '../../src/gateway/view-feed.ts'
import { openMemoryStore } from '../../src/store/memory-store.ts'
import type { Store } from '../../src/store/store.ts'
import { ProcessRules } from './process-rules.ts'
import { isBeat } from './settled.ts'
import { type EngineProcess, type Fate, SimMachine } from './sim-machine.ts'
import { type Link, networkFetch, openLink } from './sim-network.ts'
import { SimProcess } from './sim-process.ts'
import { type Committed, NO_STORE_FAULTS, type StoreFaults, storeOf } from './sim-store.ts'
import { StorePicture } from './store-picture.ts'
import { StoreRules } from './store-rules.ts'

export interface ClusterShape {
  readonly seed: number
  readonly nodes: number
  readonly devicesPerNode: number
  readonly servers: number
}

export interface SimServer {
  readonly name: string
  process: SimProcess
  app: ControlApp
}

export interface SimNode {
  readonly name: string
  readonly machine: SimMachine
  readonly link: Link
  agent: SimProcess
  /** How the agent's run ended, when it did by itself. */
  ended?: string
}

/** Violations and what led to them. */
export interface Diary {
  readonly violations: string[]
  note(text: string): void
  last(lines: number): string[]
}

export interface SimCluster {
  readonly seed: number
  readonly clock: FakeClock
  readonly random: Random
  readonly diary: Diary
  readonly store: Store
  readonly picture: StorePicture
  readonly rules: StoreRules
  readonly servers: readonly SimServer[]
  readonly nodes: readonly SimNode[]
  /** As a person with the right to everything. */
  readonly admin: Client
  /** When the store last changed by more than a lease. */
  changedAtMs(): number
  /** What a gateway knows. */
  view(): GatewayView | undefined
  /** Faults of the store, as all servers meet them. */
  storeFaults: StoreFaults
  /** What becomes of engines that are started from now on. */
  fateOf: () => Fate
  startServer(server: SimServer): void
  startAgent(node: SimNode): void
  living(): EngineProcess[]
  /** Ends everything, so that nothing of this world goes on beside the next. */
  close(): void
}

const MOST_SKEW_MS = 8_000
const GIB = 1024 ** 3
const PEPPER = 'ab'.repeat(32)
export const FILES = ['file:/models/a', 'file:/models/b']

/** A whole cluster in one process: real control, real agents, a gateway's view; the world around them is simulated. */
export async function simCluster(shape: ClusterShape): Promise<SimCluster> {
  const clock = new FakeClock()
  const random = seededRandom(shape.seed)
  const fork = () => seededRandom(Math.floor(random() * 2 ** 32))
  const skewMs = () => (random() < 0.5 ? 0 : Math.floor((random() - 0.5) * MOST_SKEW_MS))
  const diary = diaryOf(clock)
  const { violations } = diary
  const violation = (text: string) => {
    violations.push(text)
    diary.note(`VIOLATION ${text}`)
  }
  const store = openMemoryStore({ clock })
  const nodes: SimNode[] = []
  const gpus = new Map<string, ReadonlyMap<string, number>>()
  const devicesOf = (node: string) => gpus.get(node) ?? new Map<string, number>()
  const living = () => nodes.flatMap((node) => node.machine.living)
  const picture = new StorePicture()
  const processRules = new ProcessRules({
    violation,
    placementOf: (replica) => rules.placedAt.get(replica),
    living,
    devicesOf,
  })
  const rules: StoreRules = new StoreRules(picture, {
    nowMs: () => clock.now(),
    violation,
    devicesOf,
    wasReady: (replica) => processRules.wasReady(replica),
  })
  const randomBytesFrom = (bytes: Random) => (size: number) =>
    Uint8Array.from({ length: size }, () => Math.floor(bytes() * 256))
  const admin = { key: '' }
  const held = new Set<Request>()
  const skews = new Map<string, number>()
  const ending = new AbortController()
  setMaxListeners(0, ending.signal)

  const makeServer = (server: SimServer) => {
    const process = new SimProcess(clock, skews.get(server.name))
    const own = fork()
    server.process = process
    server.app = createControlApp({
      store: storeOf(process, {
        store,
        name: server.name,
        clock,
        random: fork(),
        faults: () => cluster.storeFaults,
        committed: (what: Committed) => rules.fenced(what),
      }),
      clock: process.clock,
      random: own,
      randomBytes: randomBytesFrom(fork()),
      log: logOf(diary, server.name),
      pepper: PEPPER,
      agentFetch: () => () => Promise.reject(new TypeError('fetch failed')),
      version: 'sim',
      serverId: server.name,
    })
    server.app.run(ending.signal).then(
      () => {},
      (error: unknown) => violation(`${server.name} ended: ${errorText(error)}`),
    )
  }

  const servers = Array.from(
    { length: shape.servers },
    (_, index) => ({ name: `server-${index + 1}` }) as SimServer,
  )
  const reachable = () =>
    servers.filter(({ process }) => !process.dead).map(({ process, app }) => ({ process, fetch: app.fetch }))
  const clientOf = (process: SimProcess, link: Link, token: () => string | undefined) =>
    createClient({
      fetch: networkFetch({ clock, random: fork(), client: process, link, servers: reachable, held }),
      baseUrl: 'http://control',
      token,
    })

  let joinToken = ''
  const makeAgent = (node: SimNode) => {
    const process = new SimProcess(clock, skews.get(node.name))
    const bytes = fork()
    let ids = 0
    node.agent = process
    delete node.ended
    const agent = createAgent({
      ...node.machine.handsOf(process),
      control: {
        fetch: networkFetch({
          clock,
          random: fork(),
          client: process,
          link: node.link,
          servers: reachable,
          held,
        }),
        baseUrl: 'http://control',
      },
      clock: process.clock,
      random: fork(),
      log: logOf(diary, `${node.name} agent`),
      newId: () => `${Math.floor(bytes() * 2 ** 32).toString(16)}-${++ids}`,
      joinToken: async () => joinToken,
      name: node.name,
      labels: {},
      agentUrl: () => `http://${node.name}:7702`,
      version: 'sim',
      platform: 'linux-x64',
      enginePorts: { first: 20_000, last: 20_015 },
      allowCommand: false,
      engineOf,
      yardCommand: ['yard'],
      threads: 4,
      env: { PATH: '/bin' },
    })
    agent.run(ending.signal).then(
      () => {},
      (error: unknown) => {
        node.ended = errorText(error)
        diary.note(`${node.name} agent ended by itself: ${node.ended}`)
      },
    )
  }

  const operator = new SimProcess(clock)
  let view: GatewayView | undefined
  let changedAtMs = clock.now()
  const cluster: SimCluster = {
    seed: shape.seed,
    clock,
    random,
    diary,
    store,
    picture,
    rules,
    servers,
    nodes,
    admin: clientOf(operator, openLink(), () => admin.key),
    changedAtMs: () => changedAtMs,
    view: () => view,
    storeFaults: NO_STORE_FAULTS,
    fateOf: () => ({ startMs: 500 + random() * 3_000, end: 'serves', heedsTerm: true }),
    startServer: makeServer,
    startAgent: makeAgent,
    living,
    close() {
      for (const { process } of servers) process.kill()
      for (const { agent } of nodes) agent.kill()
      operator.kill()
      held.clear()
      ending.abort()
    },
  }

  const watching = async () => {
    for await (const set of store.watch('', 1, ending.signal)) {
      const seen = picture.take(set)
      if (seen.some(({ kind }) => !isBeat(kind))) changedAtMs = clock.now()
      for (const { kind, name, before, after } of seen) {
        if (kind !== 'events') diary.note(`@${set.revision} ${kind} ${name} ${changeText(before, after)}`)
      }
      rules.check(seen)
    }
  }
  watching().catch((error: unknown) =>
    violation(`the rules broke: ${error instanceof Error ? error.stack : error}`),
  )

  admin.key =
    (await bootstrapAdminKey({ store, clock, randomBytes: randomBytesFrom(fork()), pepper: PEPPER })) ?? ''
  for (const server of servers) {
    skews.set(server.name, skewMs())
    makeServer(server)
  }
  await clock.advance(2_000)
  const call = { body: { uses: 1_000, ttlMs: 86_400_000 } }
  const tokenOf = async (role: 'agent' | 'gateway') => {
    const asked = cluster.admin.call(operations.createJoinToken, { body: { role, ...call.body } })
    await clock.advance(1_000)
    return (await asked).token
  }
  joinToken = await tokenOf('agent')
  const gatewayToken = await tokenOf('gateway')

  for (let index = 0; index < shape.nodes; index++) {
    const name = `node-${index + 1}`
    const size = ([24, 48, 80] as const)[Math.floor(random() * 3)] ?? 24
    const sizes = Array.from({ length: shape.devicesPerNode }, () => size * GIB)
    gpus.set(
      name,
      new Map([...sizes.map((bytes, at) => [`${name}-gpu${at}`, bytes] as const), ['cpu', 256 * GIB]]),
    )
    const machine = new SimMachine({
      name,
      clock,
      random: fork(),
      gpus: sizes,
      files: FILES.filter(() => random() < 0.7),
      fateOf: () => cluster.fateOf(),
      bytesOf: (replica) => rules.placedAt.get(replica),
      observe(what, process) {
        diary.note(
          `${name} engine of ${process.ask.replica} ${what} (pid ${process.id.pid}, port ${process.port})`,
        )
        processRules.observe(what, process)
      },
    })
    skews.set(name, skewMs())
    const node = { name, machine, link: openLink() } as SimNode
    nodes.push(node)
    makeAgent(node)
  }

  const registered = cluster.admin.call(operations.register, {
    body: { joinToken: gatewayToken, role: 'gateway', name: 'gateway-1', labels: {} },
  })
  await clock.advance(1_000)
  const { key } = await registered
  followView(
    {
      control: clientOf(operator, openLink(), () => key),
      cache: undefined,
      clock,
      random: fork(),
      log: silentLog,
      waitMs: 25_000,
      apply(next) {
        view = next
        for (const { replica, planVersion } of next.endpoints) {
          if (rules.placedAt.get(replica)?.planVersion !== planVersion || !processRules.wasReady(replica)) {
            violation(`the view of ${next.revision} has an endpoint of ${replica} with plan ${planVersion}`)
          }
        }
      },
      historyRestarted: () => violation('the gateway was told of a history that began anew'),
      confirm: () => {},
      failed: () => {},
    },
    ending.signal,
  ).catch((error: unknown) => violation(`the view's reader broke: ${errorText(error)}`))
  await clock.advance(5_000)
  return cluster
}

function diaryOf(clock: FakeClock): Diary {
  const lines: string[] = []
  const startMs = clock.now()
  return {
    violations: [],
    note(text) {
      lines.push(`${((clock.now() - startMs) / 1000).toFixed(3).padStart(8)} ${text}`)
      if (lines.length > 20_000) lines.splice(0, 10_000)
    },
    last: (count) => lines.slice(-count),
  }
}

/** Warnings and actions of the parts, in the diary. */
function logOf(diary: Diary, part: string): Log {
  const write = (event: string, fields?: object) =>
    diary.note(`${part}: ${event} ${JSON.stringify(fields ?? {})}`)
  const log: Log = {
    debug: () => {},
    info: (event, fields) => {
      if (event === 'leading' || event === 'leading_ended' || event === 'node_action') write(event, fields)
    },
    warn: write,
    error: write,
    with: (more) => logOf(diary, `${part} ${Object.values(more).join(' ')}`),
  }
  return log
}

function changeText(before: unknown, after: unknown): string {
  if (after === undefined) return 'gone'
  const [old, now] = [before ?? {}, after] as Record<string, unknown>[]
  const parts = Object.entries(now ?? {})
    .filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(old?.[field]))
    .map(([field, value]) => `${field}=${JSON.stringify(value)?.slice(0, 200)}`)
  return parts.join(' ').slice(0, 500)
}
