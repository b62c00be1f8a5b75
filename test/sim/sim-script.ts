import { operations } from '../../src/api/operations.ts'
import { errorText, isYardError } from '../../src/base/errors.ts'
import type { Random } from '../../src/base/random.ts'
import { ModelSpec } from '../../src/domain/model.ts'
import { FILES, type SimCluster, type SimNode, type SimServer } from './sim-cluster.ts'
import type { Fate } from './sim-machine.ts'
import { NO_STORE_FAULTS } from './sim-store.ts'

const GIB = 1024 ** 3
const MODELS = ['m1', 'm2', 'm3', 'm4', 'm5']
const ANSWER_WITHIN_MS = 15_000

/** What was promised to people: the newest generation of each model that the API has acknowledged. */
export type Promised = Map<string, number>

/** What people and accidents do to a cluster, drawn from the cluster's seed. */
export class SimScript {
  readonly promised: Promised = new Map()
  readonly #cluster: SimCluster
  readonly #random: Random
  readonly #acts: readonly (readonly [weight: number, act: () => void])[]
  readonly #deletions = new Set<string>()
  #mishaps = true

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
    this.#random = cluster.random
    this.#acts = [
      [8, () => this.#load()],
      [6, () => this.#scale()],
      [3, () => this.#unload()],
      [5, () => this.#replace()],
      [3, () => this.#delete()],
      [2, () => this.#drain()],
      [3, () => this.#cordon()],
      [1, () => this.#removeNode()],
      [3, () => this.#killNode()],
      [1, () => this.#reimage()],
      [1, () => this.#killMost()],
      [4, () => this.#killAgent()],
      [2, () => this.#standAgent()],
      [4, () => this.#partition()],
      [2, () => this.#dropBeats()],
      [2, () => this.#slowLink()],
      [3, () => this.#breakStore()],
      [2, () => this.#compact()],
      [3, () => this.#standServer()],
      [2, () => this.#crashServer()],
      [5, () => this.#harmEngine()],
      [2, () => this.#takePort()],
      [1, () => this.#breakDevice()],
    ]
    cluster.fateOf = () => this.#fate()
  }

  /** One thing, at once. */
  act(): void {
    const total = this.#acts.reduce((sum, [weight]) => sum + weight, 0)
    let at = this.#random() * total
    for (const [weight, act] of this.#acts) {
      at -= weight
      if (at >= 0) continue
      act()
      return
    }
  }

  /** All accidents end; what people asked for stays asked for. */
  heal(): void {
    const { servers, nodes, diary } = this.#cluster
    diary.note('HEAL')
    this.#mishaps = false
    this.#cluster.storeFaults = NO_STORE_FAULTS
    for (const server of servers) this.#revive(server)
    for (const node of nodes) {
      Object.assign(node.link, { toControl: 'up', fromControl: 'up', beats: 'up', mostMs: 5 })
      node.agent.killAfter(Number.POSITIVE_INFINITY)
      node.machine.agentDiesAtStart = false
      node.machine.brokenDevices.clear()
      node.machine.foreignPorts.clear()
      for (const engine of node.machine.living) engine.hung = false
      this.#bringBack(node)
    }
  }

  /** What a service manager does all the time. */
  supervise(): void {
    for (const node of this.#cluster.nodes) {
      if (node.ended !== undefined && node.machine.up && !node.agent.dead) this.#restartAgent(node)
    }
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[Math.floor(this.#random() * items.length)] as Item
  }

  #between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1))
  }

  /** Soon, unless all has been healed before. */
  #later(leastMs: number, mostMs: number, run: () => void): void {
    this.#cluster.clock.after(this.#between(leastMs, mostMs), () => {
      if (this.#mishaps) run()
    })
  }

  #fate(): Fate {
    const dice = this.#mishaps ? this.#random() : 1
    return {
      startMs: this.#between(300, 6_000),
      end: dice < 0.02 ? 'out_of_memory' : dice < 0.08 ? 'crashes' : dice < 0.1 ? 'never_ready' : 'serves',
      heedsTerm: this.#random() < 0.9,
    }
  }

  #spec(): ModelSpec {
    const random = this.#random
    const source = random() < 0.75 ? 'hf:org/model' : this.#pick(FILES)
    const gpu = random() < 0.8
    return ModelSpec.parse({
      source: gpu ? source : 'sim:model',
      engine: gpu ? 'vllm' : 'sim',
      replicas: this.#between(1, 3),
      contextTokens: this.#pick([2048, 4096, 8192]),
      resources: gpu
        ? {
            devices: random() < 0.8 ? 1 : 2,
            memoryBytes: this.#pick([8, 16, 22, 40, 60]) * GIB,
            hostMemoryBytes: this.#pick([1, 4]) * GIB,
          }
        : { hostMemoryBytes: GIB },
      strategy: this.#pick(['spread', 'pack']),
      priority: this.#between(0, 2),
      startTimeoutMs: 30_000,
      drainTimeoutMs: this.#pick([0, 8_000]),
    })
  }

  #ask(what: string, name: string, call: (signal: AbortSignal) => Promise<unknown>): void {
    const { clock, diary } = this.#cluster
    diary.note(`ASK ${what} ${name}`)
    const late = new AbortController()
    const timer = clock.after(ANSWER_WITHIN_MS, () => late.abort(new Error('no answer in time')))
    call(late.signal)
      .then(
        (answer) => {
          const { generation } = answer as { generation?: number }
          diary.note(`OK ${what} ${name} ${generation ?? ''}`)
          // A deletion may be done long after it was asked for: what comes after it promises nothing.
          if (generation !== undefined && !this.#deletions.has(name)) {
            this.promised.set(name, Math.max(generation, this.promised.get(name) ?? 0))
          }
        },
        (error: unknown) => {
          diary.note(`REFUSED ${what} ${name}: ${errorText(error)}`)
          if (isYardError(error, 'internal')) {
            this.#cluster.diary.violations.push(`${what} ${name} was answered "${errorText(error)}"`)
          }
        },
      )
      .finally(() => timer.cancel())
  }

  #load(): void {
    const name = this.#pick(MODELS)
    const spec = this.#spec()
    this.#ask(`load ${spec.replicas}x${(spec.resources.memoryBytes ?? 0) / GIB}`, name, (signal) =>
      this.#cluster.admin.call(operations.loadModel, { params: { name }, body: { spec } }, { signal }),
    )
  }

  #scale(): void {
    const name = this.#pick(MODELS)
    const replicas = this.#between(0, 4)
    this.#ask(`scale ${replicas}`, name, (signal) =>
      this.#cluster.admin.call(operations.scaleModel, { params: { name }, body: { replicas } }, { signal }),
    )
  }

  #unload(): void {
    const name = this.#pick(MODELS)
    this.#ask('unload', name, (signal) =>
      this.#cluster.admin.call(operations.unloadModel, { params: { name } }, { signal }),
    )
  }

  #replace(): void {
    const name = this.#pick(MODELS)
    const spec = this.#spec()
    this.#ask('replace', name, (signal) =>
      this.#cluster.admin.call(operations.replaceModel, { params: { name }, body: { spec } }, { signal }),
    )
  }

  #delete(): void {
    const name = this.#pick(MODELS)
    this.promised.delete(name)
    this.#deletions.add(name)
    this.#ask('delete', name, (signal) =>
      this.#cluster.admin.call(operations.deleteModel, { params: { name } }, { signal }).then(() => ({})),
    )
  }

  #drain(): void {
    const names = this.#cluster.picture.names('replicas')
    if (names.length === 0) return
    const name = this.#pick(names)
    this.#ask('drain', name, (signal) =>
      this.#cluster.admin.call(operations.drainReplica, { params: { name } }, { signal }).then(() => ({})),
    )
  }

  #cordon(): void {
    const { name } = this.#pick(this.#cluster.nodes)
    const operation = this.#random() < 0.4 ? operations.cordonNode : operations.uncordonNode
    this.#ask(operation.id, name, (signal) =>
      this.#cluster.admin.call(operation, { params: { name } }, { signal }).then(() => ({})),
    )
  }

  #removeNode(): void {
    const { name } = this.#pick(this.#cluster.nodes)
    this.#ask('removeNode', name, (signal) =>
      this.#cluster.admin.call(operations.removeNode, { params: { name } }, { signal }),
    )
  }

  #powerOff(node: SimNode): void {
    if (!node.machine.up) return
    this.#cluster.diary.note(`FAULT ${node.name} loses power`)
    node.agent.kill()
    node.machine.powerOff()
    this.#later(2_000, 120_000, () => this.#bringBack(node))
  }

  #bringBack(node: SimNode): void {
    if (!node.machine.up) {
      this.#cluster.diary.note(`${node.name} has power again`)
      node.machine.powerOn()
    }
    node.agent.goOn()
    if (node.agent.dead || node.ended !== undefined) this.#restartAgent(node)
  }

  #restartAgent(node: SimNode): void {
    this.#cluster.diary.note(`${node.name} agent starts`)
    node.agent.kill()
    this.#cluster.startAgent(node)
  }

  #killNode(): void {
    this.#powerOff(this.#pick(this.#cluster.nodes))
  }

  #reimage(): void {
    const node = this.#pick(this.#cluster.nodes)
    this.#powerOff(node)
    this.#cluster.diary.note(`FAULT ${node.name} loses its disk`)
    node.machine.wipe()
  }

  /** The switch, or the power of the rack. */
  #killMost(): void {
    const network = this.#random() < 0.5
    for (const node of this.#cluster.nodes) {
      if (this.#random() < 0.2) continue
      if (network) this.#cut(node, 20_000, 150_000)
      else this.#powerOff(node)
    }
  }

  #killAgent(): void {
    const node = this.#pick(this.#cluster.nodes)
    if (!node.agent.running) return
    this.#cluster.diary.note(`FAULT ${node.name} agent is killed`)
    // Now, in the middle of whatever it does next, or between an engine's start and its record.
    const when = this.#random()
    if (when < 0.4) node.agent.kill()
    else if (when < 0.7) node.agent.killAfter(this.#between(0, 12))
    else node.machine.agentDiesAtStart = true
    this.#later(500, 60_000, () => {
      node.machine.agentDiesAtStart = false
      node.agent.kill()
      if (node.machine.up) this.#bringBack(node)
    })
  }

  #standAgent(): void {
    const node = this.#pick(this.#cluster.nodes)
    if (!node.agent.running) return
    this.#cluster.diary.note(`FAULT ${node.name} agent stands still`)
    const { agent } = node
    agent.stand()
    this.#later(1_000, 90_000, () => {
      this.#cluster.diary.note(`${node.name} agent goes on`)
      agent.goOn()
    })
  }

  #cut(node: SimNode, leastMs: number, mostMs: number): void {
    const { link, name } = node
    const kind = this.#pick(['both', 'to', 'from', 'refused'] as const)
    this.#cluster.diary.note(`FAULT ${name} is cut off (${kind})`)
    if (kind === 'refused') link.toControl = 'refused'
    else if (kind !== 'from') link.toControl = 'lost'
    if (kind === 'from' || kind === 'both') link.fromControl = 'lost'
    this.#later(leastMs, mostMs, () => {
      this.#cluster.diary.note(`${name} is connected again`)
      Object.assign(link, { toControl: 'up', fromControl: 'up' })
    })
  }

  #partition(): void {
    this.#cut(this.#pick(this.#cluster.nodes), 1_000, 90_000)
  }

  #dropBeats(): void {
    const { link, name } = this.#pick(this.#cluster.nodes)
    this.#cluster.diary.note(`FAULT heartbeats of ${name} are lost`)
    link.beats = 'lost'
    this.#later(5_000, 90_000, () => {
      link.beats = 'up'
    })
  }

  /** What is sent arrives late and in another order. */
  #slowLink(): void {
    const { link, name } = this.#pick(this.#cluster.nodes)
    const mostMs = this.#pick([300, 3_000, 30_000])
    this.#cluster.diary.note(`FAULT what ${name} sends and is sent takes up to ${mostMs} ms`)
    link.mostMs = mostMs
    this.#later(5_000, 90_000, () => {
      link.mostMs = 5
    })
  }

  #breakStore(): void {
    const share = () => (this.#random() < 0.5 ? 0 : this.#random() * 0.3)
    const faults = {
      conflict: share(),
      before: share(),
      after: share(),
      watchBreaks: share() / 4,
      mostMs: this.#pick([2, 50, 400]),
    }
    this.#cluster.diary.note(`FAULT the store ${JSON.stringify(faults)}`)
    this.#cluster.storeFaults = faults
    this.#later(5_000, 40_000, () => {
      this.#cluster.storeFaults = NO_STORE_FAULTS
    })
  }

  #compact(): void {
    this.#cluster.diary.note(`the store forgets what was before ${this.#cluster.picture.revision}`)
    void this.#cluster.store.compact(this.#cluster.picture.revision)
  }

  #standServer(): void {
    const server = this.#pick(this.#cluster.servers)
    if (!server.process.running) return
    this.#cluster.diary.note(`FAULT ${server.name} stands still`)
    const { process } = server
    process.stand()
    this.#later(500, 60_000, () => {
      this.#cluster.diary.note(`${server.name} goes on`)
      process.goOn()
    })
  }

  #crashServer(): void {
    const server = this.#pick(this.#cluster.servers)
    if (server.process.dead) return
    this.#cluster.diary.note(`FAULT ${server.name} is killed`)
    server.process.kill()
    this.#later(1_000, 60_000, () => this.#revive(server))
  }

  #revive(server: SimServer): void {
    server.process.goOn()
    if (!server.process.dead) return
    this.#cluster.diary.note(`${server.name} starts`)
    this.#cluster.startServer(server)
  }

  #harmEngine(): void {
    const living = this.#cluster.living()
    if (living.length === 0) return
    const engine = this.#pick(living)
    const machine = this.#cluster.nodes.find((node) => node.name === engine.node)?.machine
    const kind = this.#pick(['crash', 'out_of_memory', 'killed', 'hang'] as const)
    this.#cluster.diary.note(`FAULT engine of ${engine.ask.replica}: ${kind}`)
    if (kind === 'hang') {
      engine.hung = true
      this.#later(1_000, 60_000, () => {
        engine.hung = false
      })
    } else if (kind === 'killed') machine?.end(engine, { signal: 'SIGKILL' })
    else if (kind === 'crash') machine?.end(engine, { code: 1 }, 'RuntimeError: something broke')
    else machine?.end(engine, { code: 1 }, 'torch.OutOfMemoryError: CUDA out of memory.')
  }

  #takePort(): void {
    const { machine, name } = this.#pick(this.#cluster.nodes)
    const port = this.#between(20_000, 20_004)
    if (machine.living.some((engine) => engine.ready && engine.port === port)) return
    this.#cluster.diary.note(`FAULT a stranger takes port ${port} of ${name}`)
    machine.foreignPorts.add(port)
    this.#later(10_000, 120_000, () => machine.foreignPorts.delete(port))
  }

  #breakDevice(): void {
    const { machine, name } = this.#pick(this.#cluster.nodes)
    const id = `${name}-gpu0`
    this.#cluster.diary.note(`FAULT ${id} breaks`)
    machine.brokenDevices.add(id)
    for (const engine of machine.living) {
      if (this.#cluster.rules.placedAt.get(engine.ask.replica)?.deviceIds.includes(id)) {
        machine.end(engine, { code: 1 }, 'CUDA error: uncorrectable ECC error encountered')
      }
    }
    this.#later(20_000, 120_000, () => machine.brokenDevices.delete(id))
  }
}
