import type { ModelFacts } from '../domain/facts.ts'
import { type Model, ModelSpec, type ModelSpecInput, ModelTemplate } from '../domain/model.ts'
import type { Device } from '../domain/node.ts'
import type { Assignment, Endpoint, Placement, ReplicaStatus } from '../domain/replica.ts'
import type { NodeView, ReplicaAsk } from './cluster-view.ts'
import type { ReplicaView } from './model-view.ts'

export const MIB = 1024 ** 2
export const GIB = 1024 ** 3
export const NOW_MS = 1_700_000_000_000

/** Freezes a value and all in it, so that a decision that changes its input throws. */
export function frozen<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) frozen(inner)
  }
  return value
}

/** A generator that repeats, for decisions that take one. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}

export function aTemplate(
  over: Partial<Omit<ModelSpecInput, 'replicas' | 'strategy' | 'priority'>> = {},
): ModelTemplate {
  return ModelTemplate.parse({ source: 'file:/m/model.gguf', engine: 'llama-server', ...over })
}

/** Llama-3.1-8B in 4 bits, by its published shape. */
export function someFacts(over: Partial<ModelFacts> = {}): ModelFacts {
  return {
    format: 'gguf',
    architecture: 'llama',
    weightBytes: 4_900_000_000,
    fileBytes: 4_910_000_000,
    layers: 32,
    embeddingLength: 4096,
    vocabSize: 128_256,
    heads: 32,
    kvHeads: 8,
    keyLength: 128,
    valueLength: 128,
    contextTokens: 131_072,
    hasChatTemplate: true,
    isAdapter: false,
    ...over,
  }
}

export function aGpu(over: Partial<Device> = {}): Device {
  return { id: 'GPU-0', kind: 'cuda', model: 'NVIDIA L4', memoryBytes: 24 * GIB, healthy: true, ...over }
}

export function aCpu(over: Partial<Device> = {}): Device {
  return { id: 'cpu', kind: 'cpu', model: 'processors', memoryBytes: 64 * GIB, healthy: true, ...over }
}

export function aNode(over: Partial<NodeView> = {}): NodeView {
  return {
    name: 'a',
    labels: {},
    cordoned: false,
    ready: true,
    devices: [aGpu(), aCpu()],
    engines: ['llama-server', 'vllm', 'sim'],
    enginePorts: { first: 20_000, last: 20_099 },
    takenPorts: [],
    occupancy: [],
    ...over,
  }
}

export function anAsk(over: Partial<ReplicaAsk> & { bytes?: number; devices?: number } = {}): ReplicaAsk {
  const { bytes = 8 * GIB, devices = 1, ...rest } = over
  return {
    replica: 'chat-1',
    model: 'chat',
    engine: 'vllm',
    footprint: { deviceKinds: ['cuda'], devices, bytesPerDevice: bytes, hostMemoryBytes: 0, parts: [] },
    nodeSelector: {},
    strategy: 'spread',
    priority: 0,
    createdAtMs: NOW_MS,
    avoidNodes: [],
    ...rest,
  }
}

export function aPlacement(over: Partial<Placement> = {}): Placement {
  return {
    replica: 'other-1',
    model: 'other',
    node: 'a',
    deviceIds: ['GPU-0'],
    bytesPerDevice: 8 * GIB,
    hostMemoryBytes: 0,
    port: 20_000,
    planVersion: 1,
    ...over,
  }
}

export function aModel(spec: Partial<ModelSpecInput> = {}, over: Partial<Model> = {}): Model {
  return {
    name: 'chat',
    labels: {},
    generation: 3,
    createdAtMs: NOW_MS,
    spec: ModelSpec.parse({ source: 'sim:chat', engine: 'sim', ...spec }),
    ...over,
  }
}

export interface ReplicaOptions extends Partial<Omit<ReplicaView, 'replica' | 'status'>> {
  readonly revision?: string
  readonly intent?: 'run' | 'stop'
  readonly reason?: string
  readonly createdAtMs?: number
  readonly phase?: ReplicaStatus['phase']
  readonly sinceMs?: number
  readonly restarts?: number
  readonly failure?: Partial<NonNullable<ReplicaStatus['failure']>>
}

/** A replica on node `a` in `phase`; without a phase, one that no agent has told of. */
export function aReplica(name: string, options: ReplicaOptions = {}): ReplicaView {
  const {
    revision = 'chat-new',
    intent = 'run',
    reason = 'scale_up',
    createdAtMs = NOW_MS,
    ...rest
  } = options
  const { phase, sinceMs = createdAtMs, restarts = 0, failure, ...view } = rest
  const node = 'node' in options ? options.node : phase === undefined ? undefined : 'a'
  const status: ReplicaStatus | undefined =
    phase === undefined
      ? undefined
      : {
          replica: name,
          node: node ?? 'a',
          planVersion: 1,
          phase,
          sinceMs,
          restarts,
          adapters: [],
          ...(failure === undefined
            ? {}
            : {
                failure: { reason: 'exited', message: 'ended', retryable: true, lastLines: [], ...failure },
              }),
        }
  return {
    nodeGone: false,
    ...view,
    replica: { name, model: 'chat', revision, intent, reason, createdAtMs },
    ...(status === undefined ? {} : { status }),
    ...(node === undefined ? {} : { node }),
  }
}

export function anAssignment(over: Partial<Assignment> = {}): Assignment {
  return {
    replica: 'chat-1',
    model: 'chat',
    revision: 'chat-new',
    planVersion: 1,
    desired: 'run',
    engine: 'sim',
    source: 'sim:chat',
    adapters: [],
    engineArgs: {},
    deviceIds: ['cpu'],
    bytesPerDevice: MIB,
    hostMemoryBytes: 0,
    port: 20_000,
    startTimeoutMs: 600_000,
    drainTimeoutMs: 60_000,
    credential: 'test',
    ...over,
  }
}

export function anEndpoint(replica: string, over: Partial<Endpoint> = {}): Endpoint {
  return {
    replica,
    model: 'chat',
    node: 'a',
    engine: 'sim',
    address: { kind: 'node', agentUrl: 'http://127.0.0.1:7702', port: 20_000 },
    adapters: [],
    state: 'ready',
    planVersion: 1,
    ...over,
  }
}
