import { API_PREFIX } from '../api/operation.ts'
import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import { FakeClock } from '../base/fake-clock.ts'
import type { Fetch } from '../base/fetch.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import type { SourceReport } from '../domain/facts.ts'
import type { Device, NodeStatus } from '../domain/node.ts'
import type { Assignment, ReplicaStatus } from '../domain/replica.ts'
import type { Exit, HttpCall, HttpResult } from '../engines/engine.ts'
import { engineOf } from '../engines/registry.ts'
import { type Agent, type AgentDeps, createAgent } from './agent.ts'
import type { AgentDisk, Identity, ReplicaRecord } from './disk/agent-disk.ts'
import { errorBody } from './http/agent-api.ts'
import type { EngineLogs } from './logs/engine-logs.ts'
import type { EngineRun, FoundRun, ProcessId, SpawnAsk, Spawner } from './processes/spawner.ts'
import type { LocatedModel, ModelFiles, Unusable } from './sources/model-files.ts'

/** An assignment of the simulated engine; change what matters. */
export function anAssignment(more: Partial<Assignment> = {}): Assignment {
  return {
    replica: 'tiny-1f3a9c20-a',
    model: 'tiny',
    revision: 'tiny-1f3a9c20',
    planVersion: 1,
    desired: 'run',
    engine: 'sim',
    source: 'sim:tiny',
    adapters: [],
    engineArgs: {},
    deviceIds: [],
    bytesPerDevice: 0,
    hostMemoryBytes: 0,
    port: 20_000,
    startTimeoutMs: 600_000,
    drainTimeoutMs: 60_000,
    credential: 'engine-secret',
    ...more,
  }
}

/** A machine's disk: what one agent has written, the next one finds. */
export function memoryDisk(): AgentDisk & { readonly saved: Map<string, ReplicaRecord>; full: boolean } {
  let identity: Identity | undefined
  const saved = new Map<string, ReplicaRecord>()
  return {
    saved,
    full: false,
    cacheDir: '/cache',
    identity: async () => identity,
    async saveIdentity(next) {
      identity = structuredClone(next) as Identity
    },
    records: async () => [...saved.values()].map((record) => structuredClone(record) as ReplicaRecord),
    async saveRecord(record) {
      if (this.full) throw new YardError('data_dir_unusable', 'the disk is full')
      saved.set(record.assignment.replica, structuredClone(record) as ReplicaRecord)
    },
    async removeRecord(replica) {
      saved.delete(replica)
    },
    workDir: async () => '/work-dir',
  }
}

export interface FakeProcess {
  readonly ask: SpawnAsk
  readonly id: ProcessId
  /** Signals that it has got. */
  readonly signals: string[]
  alive: boolean
  /** Others of its group that are left when it ends. */
  orphans: number
  /** Signals that it does not heed. */
  ignores: string[]
  /** What its HTTP answers; by default it is ready and idle. */
  answer: (call: HttpCall) => HttpResult
  end(exit: Exit): void
}

export const HEALTHY = (call: HttpCall): HttpResult => ({
  kind: 'answer',
  status: 200,
  body:
    call.path === '/metrics'
      ? 'vllm:num_requests_running{engine="0"} 0\nvllm:num_requests_waiting{engine="0"} 0\n'
      : '',
})

/** A machine without processes or sockets: it outlives the agents that run on it. */
export class FakeMachine {
  readonly disk = memoryDisk()
  readonly processes: FakeProcess[] = []
  readonly takenPorts = new Set<number>()
  readonly logLines = new Map<string, string[]>()
  devices: Device[] = [{ id: 'cpu', kind: 'cpu', model: 'test', memoryBytes: 8e9, healthy: true }]
  models: Record<string, LocatedModel | Unusable> = {}
  /** What new processes answer. */
  answer: FakeProcess['answer'] = HEALTHY
  /** Why the next spawns fail. */
  spawnFailure: string | undefined
  bootId = 'boot-1'
  memoryKills = 0
  /** Called between a process's start and the agent's hearing of it. */
  onSpawn: (process: FakeProcess) => void = () => {}
  #nextPid = 100

  /** Living processes. */
  get living(): FakeProcess[] {
    return this.processes.filter((process) => process.alive)
  }

  /** The process on a port. */
  at(port: number): FakeProcess | undefined {
    return this.living.find((process) => process.ask.command.argv.includes(`--port=${port}`))
  }

  readonly spawner: Spawner = {
    bootId: async () => this.bootId,
    spawn: async (ask) => {
      if (this.spawnFailure !== undefined) {
        return { kind: 'failed', reason: 'program_missing', message: this.spawnFailure }
      }
      const { process, exited } = this.#start(ask)
      this.onSpawn(process)
      return { kind: 'started', process: process.id, exited }
    },
    isAlive: async (id) => this.#of(id)?.alive === true,
    members: async (run) => this.#members(run),
    signal: async (run, signal) => {
      for (const process of this.processes.filter(({ ask }) => ask.runId === run.id)) {
        process.signals.push(signal)
        if (process.ignores.includes(signal)) continue
        if (signal === 'SIGKILL') process.orphans = 0
        process.end({ signal })
      }
    },
    find: async (agentId) =>
      this.processes
        .filter(({ ask, alive, orphans }) => ask.agentId === agentId && (alive || orphans > 0))
        .map(
          ({ ask, id, alive }): FoundRun => ({
            runId: ask.runId,
            replica: ask.replica,
            ...(alive ? { process: id } : {}),
          }),
        ),
    memoryKills: async () => this.memoryKills,
  }

  readonly logs: EngineLogs = {
    begin: async (replica) => {
      this.logLines.set(replica, [])
      return `/logs/${replica}`
    },
    pathOf: (replica) => `/logs/${replica}`,
    feed: (replica) => {
      let at = 0
      return {
        next: async () => {
          const lines = (this.logLines.get(replica) ?? []).slice(at)
          at += lines.length
          return lines
        },
      }
    },
    tail: async (replica, lines) => {
      const all = this.logLines.get(replica)
      return (
        all &&
        new TextEncoder().encode(
          all
            .slice(-lines)
            .map((line) => `${line}\n`)
            .join(''),
        )
      )
    },
    async *follow() {},
    trim: async () => 0,
    prune: async () => {},
  }

  readonly modelFiles: ModelFiles = {
    locate: async (source) =>
      this.models[source] ?? { kind: 'located', modelRef: source.replace(/^\w+:/, '') },
    inspect: async (source): Promise<SourceReport> => {
      const found = this.models[source]
      if (found === undefined || found.kind === 'located') return { kind: 'found' }
      return found
    },
  }

  readonly http = async (engine: { readonly port: number }, call: HttpCall): Promise<HttpResult> =>
    this.at(engine.port)?.answer(call) ?? { kind: 'refused' }

  #start(ask: SpawnAsk) {
    const pid = this.#nextPid++
    let settle: (exit: Exit) => void = () => {}
    const exited = new Promise<Exit>((resolve) => {
      settle = resolve
    })
    const process: FakeProcess = {
      ask,
      id: { pid, start: `${pid}0`, bootId: this.bootId },
      signals: [],
      alive: true,
      orphans: 0,
      ignores: [],
      answer: this.answer,
      end(exit) {
        process.alive = false
        settle(exit)
      },
    }
    this.processes.push(process)
    return { process, exited }
  }

  #of(id: ProcessId): FakeProcess | undefined {
    if (id.bootId !== this.bootId) return undefined
    return this.processes.find((process) => process.id.pid === id.pid && process.id.start === id.start)
  }

  #members(run: EngineRun): number[] {
    return this.processes
      .filter(({ ask }) => ask.runId === run.id)
      .flatMap((process) => [
        ...(process.alive ? [process.id.pid] : []),
        ...Array.from({ length: process.orphans }, (_, index) => process.id.pid * 1000 + index),
      ])
  }
}

/** Control as an agent sees it. */
export class FakeControl {
  readonly clock: Clock
  readonly beats: { agentId: string; status: NodeStatus; replicas: ReplicaStatus[] }[] = []
  readonly registrations: { name: string; joinToken: string; agentId: string }[] = []
  readonly reports: { source: string; report: SourceReport }[] = []
  /** Every request to it fails while set. */
  away = false
  /** Answers with this older word, as a server that lags does. */
  lagging: { readonly revision: number; readonly assignments: readonly Assignment[] } | undefined
  /** A fault that the named operation answers with. */
  faults: { register?: YardError; heartbeat?: YardError; work?: YardError } = {}
  #revision = 1
  #assignments: readonly Assignment[] = []
  #inspect: readonly string[] = []
  #news: (() => void)[] = []

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** What the node is to do from now on. */
  want(assignments: readonly Assignment[], inspect: readonly string[] = []): void {
    this.#revision++
    this.#assignments = assignments
    this.#inspect = inspect
    for (const tell of this.#news.splice(0)) tell()
  }

  /** The newest word on a replica. */
  status(replica = 'tiny-1f3a9c20-a'): ReplicaStatus | undefined {
    return this.beats.at(-1)?.replicas.find((status) => status.replica === replica)
  }

  readonly fetch: Fetch = async (request) => {
    if (this.away) throw new TypeError('fetch failed')
    try {
      return Response.json(await this.#answer(request))
    } catch (error) {
      const { status, body } = errorBody(error)
      return Response.json(body, { status })
    }
  }

  async #answer(request: Request): Promise<unknown> {
    const url = new URL(request.url)
    const path = url.pathname.slice(API_PREFIX.length)
    if (path === '/registrations') {
      const body = (await request.json()) as (typeof this.registrations)[number]
      this.registrations.push(body)
      if (this.faults.register) throw this.faults.register
      return { name: body.name, key: `key-${this.registrations.length}`, agentCredential: 'control-secret' }
    }
    if (!request.headers.get('authorization')?.startsWith('Bearer key-')) {
      throw new YardError('unauthenticated', 'no key')
    }
    if (path.endsWith('/heartbeat')) {
      const body = (await request.json()) as (typeof this.beats)[number]
      if (this.faults.heartbeat) throw this.faults.heartbeat
      this.beats.push(body)
      return { nextBeatMs: 3_000 }
    }
    if (path.endsWith('/sources')) {
      this.reports.push((await request.json()) as (typeof this.reports)[number])
      return {}
    }
    if (this.faults.work) throw this.faults.work
    if (this.lagging) return { planVersion: 1, inspect: [], ...this.lagging }
    const after = Number(url.searchParams.get('after'))
    if (after === this.#revision) {
      await Promise.race([
        new Promise<void>((resolve) => this.#news.push(resolve)),
        this.clock.sleep(Number(url.searchParams.get('waitMs'))),
      ])
      if (this.away) throw new YardError('unavailable', 'gone')
    }
    return {
      revision: this.#revision,
      planVersion: 1,
      assignments: this.#assignments,
      inspect: this.#inspect,
    }
  }
}

/** An agent on a fake machine, with control beside it and a clock that is moved by hand. */
export interface AgentWorld {
  readonly clock: FakeClock
  readonly control: FakeControl
  readonly machine: FakeMachine
  agent: Agent
  /** How the present agent's `run` ended, once it has. */
  ended: Promise<unknown>
  /** Moves time on in small steps until `met`, for at most `limitMs`. */
  until(met: () => boolean, limitMs?: number): Promise<void>
  /** The agent is told to end; its engines stay. */
  stopAgent(): Promise<void>
  /** The agent is gone from one moment to the next: nothing that it was about to do happens. */
  crashAgent(): void
  /** Another agent on the same machine. `crashAfter`: it crashes before its so-manieth act on disk or processes. */
  startAgent(more?: Partial<AgentDeps>, crashAfter?: number): void
}

/** An agent's hands, which never come back from anything once it has crashed. */
function mortal<Hands extends object>(hands: Hands, act: () => boolean): Hands {
  return new Proxy(hands, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => (act() ? value.apply(target, args) : new Promise(() => {}))
    },
  })
}

export function anAgentWorld(more: Partial<AgentDeps> = {}): AgentWorld {
  const clock = new FakeClock()
  const control = new FakeControl(clock)
  const machine = new FakeMachine()
  let ids = 0
  let stop = new AbortController()
  let life = { crashed: false }
  const world: AgentWorld = {
    clock,
    control,
    machine,
    agent: undefined as unknown as Agent,
    ended: Promise.resolve(),
    async until(met, limitMs = 600_000) {
      await clock.advance(0)
      for (let waited = 0; !met(); waited += 50) {
        if (waited >= limitMs) throw new Error(`not met within ${limitMs} ms: ${met}`)
        await clock.advance(50)
      }
    },
    async stopAgent() {
      stop.abort()
      await clock.advance(0)
      await world.ended
    },
    crashAgent() {
      life.crashed = true
    },
    startAgent(again = {}, crashAfter = Number.POSITIVE_INFINITY) {
      stop = new AbortController()
      const own = { crashed: false }
      life = own
      let acts = 0
      const act = () => {
        if (acts++ >= crashAfter) own.crashed = true
        return !own.crashed
      }
      world.agent = createAgent({
        disk: mortal(machine.disk, act),
        logs: machine.logs,
        models: machine.modelFiles,
        spawner: mortal(machine.spawner, act),
        ports: {
          isFree: async (port) => !machine.takenPorts.has(port) && machine.at(port) === undefined,
          listening: async () => machine.takenPorts,
          connections: async () => undefined,
        },
        http: machine.http,
        probes: [{ name: 'fake', read: async () => ({ kind: 'devices', devices: machine.devices }) }],
        findProgram: async () => undefined,
        control: {
          fetch: (request) => (own.crashed ? new Promise(() => {}) : control.fetch(request)),
          baseUrl: 'http://control',
        },
        clock,
        random: seededRandom(1),
        log: silentLog,
        newId: () => `id-${++ids}`,
        joinToken: async () => 'join-token',
        name: 'node-1',
        labels: {},
        agentUrl: () => 'http://127.0.0.1:7702',
        version: '0.1.0',
        platform: 'linux-x64',
        enginePorts: { first: 20_000, last: 29_999 },
        allowCommand: false,
        engineOf,
        yardCommand: ['yard'],
        threads: 1,
        env: { PATH: '/bin' },
        ...more,
        ...again,
      })
      world.ended = world.agent.run(stop.signal).then(
        () => undefined,
        (error: unknown) => error,
      )
    },
  }
  world.startAgent()
  return world
}
