import type { NodeWork } from '../api/objects.ts'
import type { ModelFacts, SourceReport } from '../domain/facts.ts'
import type { NodeStatus } from '../domain/node.ts'
import type { Assignment, Failure, ReplicaPhase, ReplicaStatus } from '../domain/replica.ts'
import type { ControlWorld, Input, Server } from './world.testing.ts'

const GIB = 2 ** 30

export const TINY_FACTS: ModelFacts = {
  format: 'gguf',
  architecture: 'llama',
  weightBytes: 4_000_000,
  fileBytes: 4_100_000,
  layers: 2,
  embeddingLength: 64,
  vocabSize: 1_000,
  heads: 4,
  kvHeads: 2,
  keyLength: 16,
  valueLength: 16,
  contextTokens: 2_048,
  hasChatTemplate: true,
  isAdapter: false,
}

/** Does what an agent does, without engines: each beat takes a replica one phase further. */
export class FakeAgent {
  readonly name: string
  server: Server
  key = ''
  agentId: string
  agentUrl: string
  readonly local = new Map<string, ReplicaStatus>()
  /** What it finds at sources; all others are found, with the facts of a tiny model. */
  readonly sources = new Map<string, SourceReport>()
  /** Models whose engine fails to start. */
  readonly failing = new Map<string, Failure>()
  work: NodeWork | undefined
  memoryBytes = 16 * GIB
  beating = true
  readonly #world: ControlWorld

  constructor(world: ControlWorld, name: string, server: Server) {
    this.#world = world
    this.name = name
    this.server = server
    this.agentId = `${name}-1`
    this.agentUrl = `http://${name}.test:7702`
  }

  async join(agentId = this.agentId): Promise<void> {
    this.agentId = agentId
    const { token } = await this.#world.call('createJoinToken', { body: {} })
    const { key } = await this.#world.call('register', { body: this.registration(token) }, '', this.server)
    this.key = key
    await this.beat()
  }

  registration(joinToken: string) {
    const { name, agentUrl, agentId } = this
    return { joinToken, role: 'agent', name, labels: {}, agentUrl, agentId }
  }

  /** Beats, takes its work, does a step of it, and tells. */
  async tick(): Promise<void> {
    if (!this.beating) return
    this.work = await this.#call('nodeWork', { query: { after: 0, waitMs: 0 } })
    for (const source of this.work.inspect) {
      const report = this.sources.get(source) ?? { kind: 'found', facts: TINY_FACTS }
      await this.#call('reportSource', { body: { source, report } })
    }
    const wanted = new Map(this.work.assignments.map((assignment) => [assignment.replica, assignment]))
    for (const replica of [...this.local.keys()]) if (!wanted.has(replica)) this.local.delete(replica)
    for (const assignment of wanted.values()) this.#step(assignment)
    await this.beat()
  }

  async beat(): Promise<void> {
    await this.#call('heartbeat', { body: this.heartbeat() })
  }

  heartbeat() {
    const { agentId, agentUrl } = this
    return { agentId, agentUrl, status: this.status(), replicas: [...this.local.values()] }
  }

  status(): NodeStatus {
    return {
      name: this.name,
      version: '0.0.0-test',
      platform: 'linux-x64',
      devices: [
        {
          id: 'cpu',
          kind: 'cpu',
          model: 'test',
          memoryBytes: this.memoryBytes,
          memoryUsedBytes: GIB,
          healthy: true,
        },
      ],
      engines: ['llama', 'sim'],
      enginePorts: { first: 20_000, last: 20_099 },
      takenPorts: [],
      occupancy: [],
    }
  }

  #step(assignment: Assignment): void {
    const now = this.local.get(assignment.replica)
    if (assignment.desired === 'stop') {
      if (now) this.#move(assignment, now.phase === 'ready' ? 'draining' : 'stopped')
    } else if (now === undefined) this.#move(assignment, 'starting')
    else if (now.phase === 'starting') {
      const failure = this.failing.get(assignment.model)
      this.#move(assignment, failure ? 'failed' : 'ready', failure)
    }
  }

  #move(assignment: Assignment, phase: ReplicaPhase, failure?: Failure): void {
    const { replica, planVersion, adapters } = assignment
    this.local.set(replica, {
      replica,
      node: this.name,
      planVersion,
      phase,
      sinceMs: this.#world.clock.now(),
      restarts: 0,
      adapters: phase === 'ready' ? adapters.map((adapter) => adapter.name) : [],
      ...(failure === undefined ? {} : { failure }),
    })
  }

  #call<Id extends 'nodeWork' | 'reportSource' | 'heartbeat'>(id: Id, input: Pick<Input, 'query' | 'body'>) {
    return this.#world.call(id, { ...input, params: { name: this.name } }, this.key, this.server)
  }
}

/** Lets time pass with agents at work until it holds. */
export async function workUntil(
  world: ControlWorld,
  agents: readonly FakeAgent[],
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 120_000,
): Promise<void> {
  await world.until(
    what,
    async () => {
      for (const agent of agents) await agent.tick()
      return holds()
    },
    withinMs,
  )
}
