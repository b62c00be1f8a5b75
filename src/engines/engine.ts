import type { EngineName } from '../domain/engine-name.ts'
import type { EngineArgs, ModelTemplate } from '../domain/model.ts'
import type { Device, DeviceKind } from '../domain/node.ts'
import type { Failure } from '../domain/replica.ts'

/** Everything that a command line is made of. Paths are real and checked by the caller. */
export interface Launch {
  /** Name that clients use; engines serve it so that nothing needs rewriting. */
  readonly servedName: string
  /** An absolute local path, or what the source names: `org/name` of a hub, the name of a simulated model. */
  readonly modelRef: string
  /** Revision of a hub's repository. */
  readonly revision?: string
  readonly host: string
  readonly port: number
  readonly devices: readonly Device[]
  readonly bytesPerDevice: number
  readonly contextTokens?: number
  readonly maxConcurrency?: number
  readonly embeddings?: boolean
  /** In the order of the template. `rank` is the adapter's own, when it was read. */
  readonly adapters: readonly { readonly name: string; readonly path: string; readonly rank?: number }[]
  readonly engineArgs: EngineArgs
  readonly command?: readonly string[]
  /** What the engine asks of its callers. Handed over by environment; the caller hides it in logs. */
  readonly credential: string
  /** How to run our own program: `[node, yard.js]`. */
  readonly yardCommand: readonly [string, ...string[]]
  /** Directory for the engine's caches, kept between starts. */
  readonly cacheDir: string
  /** Processors the engine may take. */
  readonly threads: number
}

/** A program, its arguments and the variables to add. Never passed to a shell. Secrets stand in env, not argv. */
export interface Command {
  readonly file: string
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/**
 * A call to make to the engine's port, with `Authorization: Bearer <credential>`, as JSON when it has a body. One
 * redirect to the same engine is followed (SGLang moves `/metrics` to `/metrics/` in some versions).
 */
export interface HttpCall {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
  readonly timeoutMs: number
}

/** What came back: a status with its body, or the connection's fault. */
export type HttpResult =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  | { readonly kind: 'refused' | 'timeout' | 'reset' }

/** `loading` also stands for a refused connection while the process lives: most engines listen only once loaded. */
export type ProbeVerdict = 'ready' | 'loading' | 'unhealthy'

/** A signal and how long to wait for the exit before the next step. */
export interface StopStep {
  readonly signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'
  readonly waitMs: number
}

/** Load as an engine reports it. Absent means that the engine does not tell. */
export interface EngineLoad {
  readonly running?: number
  readonly waiting?: number
  /** 0..1 */
  readonly kvUsed?: number
  readonly promptTokensTotal?: number
  readonly generationTokensTotal?: number
  /** Prompt tokens that were found in the engine's prefix cache. */
  readonly cachedTokensTotal?: number
  readonly preemptionsTotal?: number
}

export interface Exit {
  readonly code?: number
  readonly signal?: string
}

/** One way to reach a result: the call to make and how to read the answer. */
export interface EngineCall<Result> {
  readonly call: HttpCall
  readonly read: (result: HttpResult) => Result
}

export type AdapterResult = { readonly kind: 'ok' } | { readonly kind: 'failed'; readonly message: string }

/** One rerank answer in the shape we serve, whatever the engine said. */
export interface RerankResult {
  readonly results: readonly {
    readonly index: number
    readonly relevanceScore: number
    readonly document?: string
  }[]
  readonly totalTokens?: number
}

/**
 * How to speak to one engine: data and pure functions. The agent has the hands (spawn, signal, HTTP); the gateway
 * uses the request side. Facts and versions: each adapter's file names its sources.
 */
export interface Engine {
  readonly name: EngineName
  /** In order of preference. Empty: the engine needs no device. */
  readonly deviceKinds: readonly DeviceKind[]
  /** False for a service that somebody else runs: nothing is placed or started. */
  readonly managed: boolean
  /** Kinds of source it can load. */
  readonly sources: readonly ('builtin' | 'file' | 'hf' | 'sim' | 'command' | 'external')[]
  /** Programs that must exist on a node, any of them; empty when it ships with us. */
  readonly programs: readonly string[]
  readonly lora: 'runtime' | 'start' | 'none'
  /** What is wrong with a template for this engine; empty when nothing is. Messages name the field. */
  validate(template: ModelTemplate): readonly { readonly field: string; readonly message: string }[]
  /** The command line. Throws nothing: a template that passed `validate` always has one. */
  command(launch: Launch): Command
  readonly readiness: HttpCall
  /** Asked in place of `readiness` or `liveness` when that was answered 404 or 405; read by the same function. */
  readonly fallbackProbe?: HttpCall
  readReadiness(result: HttpResult): ProbeVerdict
  readonly liveness: HttpCall & { readonly everyMs: number; readonly failuresToUnhealthy: number }
  readLiveness(result: HttpResult): ProbeVerdict
  /** A line of output that tells how far loading is. */
  progress(line: string): { readonly fraction?: number; readonly message: string } | undefined
  /** Why it ended; `lines` oldest first. */
  classify(exit: Exit, lines: readonly string[]): Failure
  /**
   * Signals to send, in order, after requests in flight had their time. The last is SIGKILL to the group, which is
   * due also when the process left at an earlier step: workers outlive their parent and keep device memory.
   */
  readonly stop: readonly StopStep[]
  readonly metrics: HttpCall | undefined
  /** Reads Prometheus text, by any of the names its versions used. */
  readLoad(metricsText: string): EngineLoad
  readonly version: EngineCall<string | undefined> | undefined
  loadAdapter(adapter: {
    readonly name: string
    readonly path: string
  }): EngineCall<AdapterResult> | undefined
  unloadAdapter(name: string): EngineCall<AdapterResult> | undefined
  /**
   * Top-level fields that a request for an adapter must carry, put over the client's own, where the engine does not
   * choose the adapter by the `model` it is given. Absent: the adapter's name in `model` is enough.
   */
  adapterFields?(request: {
    readonly servedName: string
    readonly adapter: string
    /** All adapters in the order in which they were given at start. */
    readonly adapters: readonly string[]
  }): Readonly<Record<string, unknown>>
  /** Turns the engine's rerank answer into ours; undefined when the body is none. */
  readRerank(body: string): RerankResult | undefined
}
