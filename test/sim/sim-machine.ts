import type { Identity, ReplicaRecord } from '../../src/agent/disk/agent-disk.ts'
import type { AgentHands } from '../../src/agent/hands.ts'
import type { FoundRun, ProcessId, SpawnAsk } from '../../src/agent/processes/spawner.ts'
import type { Clock } from '../../src/base/clock.ts'
import type { Random } from '../../src/base/random.ts'
import type { Device } from '../../src/domain/node.ts'
import type { Exit, HttpCall, HttpResult } from '../../src/engines/engine.ts'
import type { SimProcess } from './sim-process.ts'

/** An engine as far as its supervisor can tell: it starts, answers, hangs, ends. */
export interface EngineProcess {
  readonly ask: SpawnAsk
  readonly node: string
  readonly id: ProcessId
  readonly port: number
  alive: boolean
  ready: boolean
  hung: boolean
  /** Whether it ends when it is asked to; all end when they are killed. */
  readonly heedsTerm: boolean
}

/** What a new engine is going to do. */
export interface Fate {
  readonly startMs: number
  readonly end: 'serves' | 'out_of_memory' | 'crashes' | 'never_ready'
  readonly heedsTerm: boolean
}

export interface MachineDeps {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  readonly gpus: readonly number[]
  readonly files: readonly string[]
  readonly fateOf: (ask: SpawnAsk) => Fate
  readonly bytesOf: (replica: string) => { deviceIds: readonly string[]; bytesPerDevice: number } | undefined
  /** Told of each start, each end and each first readiness, at once. */
  readonly observe: (what: 'started' | 'ended' | 'ready', process: EngineProcess) => void
}

const HOST_BYTES = 256 * 1024 ** 3

/** A machine without sockets or processes. What is on its disk survives everything; its engines survive the agent. */
export class SimMachine {
  readonly name: string
  readonly processes: EngineProcess[] = []
  /** Ports that strangers listen on. */
  readonly foreignPorts = new Set<number>()
  readonly brokenDevices = new Set<string>()
  /** The agent dies the moment that it has next started an engine, before it knows. */
  agentDiesAtStart = false
  up = true
  readonly #deps: MachineDeps
  readonly #records = new Map<string, string>()
  readonly #lines = new Map<string, string[]>()
  readonly #exits = new Map<EngineProcess, (exit: Exit) => void>()
  #identity: Identity | undefined
  #boot = 1
  #nextPid = 100

  constructor(deps: MachineDeps) {
    this.name = deps.name
    this.#deps = deps
  }

  get living(): EngineProcess[] {
    return this.processes.filter((process) => process.alive)
  }

  /** All stops at once; what was on disk stays. */
  powerOff(): void {
    this.up = false
    for (const process of this.living) this.end(process, {})
  }

  powerOn(): void {
    this.up = true
    this.#boot++
  }

  hasFile(source: string): boolean {
    return this.#deps.files.includes(source)
  }

  /** The disk is replaced by an empty one. */
  wipe(): void {
    this.#records.clear()
    this.#identity = undefined
  }

  end(process: EngineProcess, exit: Exit, line?: string): void {
    if (!process.alive) return
    if (line !== undefined) this.#lines.get(process.ask.replica)?.push(line)
    process.alive = false
    process.ready = false
    this.#exits.get(process)?.(exit)
    this.#deps.observe('ended', process)
  }

  /** The hands of one agent process on this machine. */
  handsOf(agent: SimProcess): AgentHands {
    const { clock, random } = this.#deps
    const act = <Value>(mostMs: number, work: () => Value | Promise<Value>): Promise<Value> =>
      agent.through(async () => {
        // What takes time can be interrupted half way: before it has happened, and after.
        await clock.sleep(random() * mostMs)
        await agent.gate()
        return work()
      })
    const look = <Value>(work: () => Value | Promise<Value>): Promise<Value> =>
      agent.through(async () => work())
    const exitOf = new Map<EngineProcess, Promise<Exit>>()
    return {
      disk: {
        cacheDir: '/cache',
        identity: () => look(() => this.#identity),
        saveIdentity: (identity) =>
          act(5, () => {
            this.#identity = structuredClone(identity)
          }),
        records: () =>
          look(() => [...this.#records.values()].map((text) => JSON.parse(text) as ReplicaRecord)),
        saveRecord: (record) => {
          const text = JSON.stringify(record)
          return act(5, () => void this.#records.set(record.assignment.replica, text))
        },
        removeRecord: (replica) => act(5, () => void this.#records.delete(replica)),
        workDir: () => look(() => '/work-dir'),
      },
      logs: {
        begin: (replica) =>
          look(() => {
            this.#lines.set(replica, [])
            return `/logs/${replica}`
          }),
        pathOf: (replica) => `/logs/${replica}`,
        feed: () => ({ next: async () => [] }),
        tail: (replica) => look(() => new TextEncoder().encode((this.#lines.get(replica) ?? []).join('\n'))),
        async *follow() {},
        trim: async () => 0,
        prune: async () => {},
      },
      models: {
        inspect: (source) =>
          act(50, () =>
            this.#deps.files.includes(source)
              ? ({ kind: 'found' } as const)
              : ({ kind: 'missing', message: 'there is no such file' } as const),
          ),
        locate: (source) =>
          act(20, () =>
            !source.startsWith('file:') || this.#deps.files.includes(source)
              ? ({ kind: 'located', modelRef: source.replace(/^\w+:/, '') } as const)
              : ({ kind: 'missing', message: 'there is no such file' } as const),
          ),
      },
      spawner: {
        bootId: () => look(() => `boot-${this.#boot}`),
        spawn: (ask) =>
          act(20, () => {
            const process = this.#start(ask)
            if (this.agentDiesAtStart) agent.kill()
            this.agentDiesAtStart = false
            const exited = new Promise<Exit>((resolve) => this.#exits.set(process, resolve))
            if (!process.alive) this.#exits.get(process)?.({ code: 1 })
            const seen = exited.then(async (exit) => {
              await agent.gate()
              return exit
            })
            exitOf.set(process, seen)
            return { kind: 'started', process: process.id, exited: seen } as const
          }),
        isAlive: (id) =>
          look(() => this.living.some((one) => one.id.pid === id.pid && one.id.bootId === id.bootId)),
        members: (run) =>
          look(() => this.living.filter((one) => one.ask.runId === run.id).map((one) => one.id.pid)),
        signal: (run, signal) =>
          act(2, () => {
            for (const process of this.living.filter((one) => one.ask.runId === run.id)) {
              if (signal === 'SIGKILL') this.end(process, { signal })
              else if (process.heedsTerm) {
                clock.after(random() * 3_000, () => this.end(process, { code: 0 }))
              }
            }
          }),
        find: (agentId) =>
          look(() =>
            this.living
              .filter((one) => one.ask.agentId === agentId)
              .map(({ ask, id }): FoundRun => ({ runId: ask.runId, replica: ask.replica, process: id })),
          ),
        memoryKills: () => look(() => 0),
      },
      ports: {
        isFree: (port) => look(() => !this.#listening().has(port)),
        listening: () => look(() => this.#listening()),
        connections: () => look(() => 0),
      },
      http: (engine, call, signal) => agent.through(() => this.#answer(engine, call, signal)),
      probes: [
        { name: 'sim', read: () => look(() => ({ kind: 'devices', devices: this.devices() }) as const) },
      ],
      findProgram: (name) => look(() => (name === 'vllm' ? '/usr/bin/vllm' : undefined)),
    }
  }

  /** As a vendor's tool would tell. */
  devices(): Device[] {
    const gpus = this.#deps.gpus.map((memoryBytes, index): Device => {
      const id = `${this.name}-gpu${index}`
      const broken = this.brokenDevices.has(id)
      return {
        id,
        kind: 'cuda',
        model: `sim ${memoryBytes / 1024 ** 3}`,
        index,
        memoryBytes,
        memoryUsedBytes: this.usedBytes(id),
        healthy: !broken,
        ...(broken ? { problem: 'it fell off the bus' } : {}),
      }
    })
    return [...gpus, { id: 'cpu', kind: 'cpu', model: 'sim', memoryBytes: HOST_BYTES, healthy: true }]
  }

  /** What the engines that live hold of a device. */
  usedBytes(deviceId: string): number {
    let bytes = 0
    for (const { ask } of this.living) {
      const needs = this.#deps.bytesOf(ask.replica)
      if (needs?.deviceIds.includes(deviceId)) bytes += needs.bytesPerDevice
    }
    return bytes
  }

  #listening(): Set<number> {
    const own = this.living.filter((process) => process.ready).map((process) => process.port)
    return new Set([...this.foreignPorts, ...own])
  }

  #start(ask: SpawnAsk): EngineProcess {
    const fate = this.#deps.fateOf(ask)
    const port = Number(ask.command.argv.find((word) => word.startsWith('--port='))?.slice(7))
    const pid = this.#nextPid++
    const process: EngineProcess = {
      ask,
      node: this.name,
      id: { pid, start: `${pid}`, bootId: `boot-${this.#boot}` },
      port,
      alive: true,
      ready: false,
      hung: false,
      heedsTerm: fate.heedsTerm,
    }
    this.processes.push(process)
    this.#deps.observe('started', process)
    if (fate.end === 'never_ready') return process
    this.#deps.clock.after(fate.startMs, () => {
      if (!process.alive) return
      if (fate.end === 'out_of_memory') {
        this.end(
          process,
          { code: 1 },
          'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB',
        )
      } else if (fate.end === 'crashes') {
        this.end(process, { code: 1 }, 'RuntimeError: something broke')
      } else if (this.#listening().has(port)) {
        this.end(process, { code: 1 }, 'OSError: [Errno 98] Address already in use')
      } else {
        process.ready = true
        this.#deps.observe('ready', process)
      }
    })
    return process
  }

  async #answer(
    engine: { readonly port: number; readonly credential: string },
    call: HttpCall,
    signal: AbortSignal | undefined,
  ): Promise<HttpResult> {
    const { clock, random } = this.#deps
    const late = { kind: 'timeout' } as const
    const wait = (ms: number) =>
      clock.sleep(ms, signal).then(
        () => true,
        () => false,
      )
    if (!(await wait(1 + random() * 4))) return { kind: 'reset' }
    const process = this.living.find((one) => one.port === engine.port && one.ready)
    if (!process) return { kind: 'refused' }
    if (process.hung) return (await wait(call.timeoutMs)) ? late : { kind: 'reset' }
    if (process.ask.command.env.VLLM_API_KEY !== engine.credential) {
      return { kind: 'answer', status: call.path === '/health' ? 200 : 401, body: '' }
    }
    const bodies: Record<string, string> = {
      '/metrics': 'vllm:num_requests_running{engine="0"} 0\nvllm:num_requests_waiting{engine="0"} 0\n',
      '/version': '{"version":"0.11.0"}',
    }
    return { kind: 'answer', status: 200, body: bodies[call.path] ?? '' }
  }
}
