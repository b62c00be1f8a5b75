import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { errorText } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { loadServing } from './load.ts'
import { Metrics } from './metrics.ts'
import { failure } from './model-file.ts'
import { LLAMA_EXIT, type LlamaExitCode, type LlamaOptions } from './options.ts'
import { EngineServer } from './server.ts'
import { Waiting } from './slots.ts'

/** What the engine is given of the world. */
export interface LlamaDeps {
  readonly clock: Clock
  /** One JSON object a line, to stderr. */
  readonly log: Log
  /** For seeds and ids. */
  readonly random: Random
  /** Bearer key for all but `/health`; absent: none is asked for. */
  readonly key: string | undefined
  /** Told by `/version`. */
  readonly version: string
  readonly processors: number
  readonly availableMemoryBytes: () => number | undefined
  /** Calls back on each SIGTERM and SIGINT. Returns how to stop that. */
  readonly onStopSignal: (handler: (signal: 'SIGTERM' | 'SIGINT') => void) => () => void
}

/**
 * Serves one model until it is told to stop; resolves to the exit code, after which the process should exit. The
 * first signal drains: no new requests, running ones get `drainTimeoutMs`. The second ends at once. Nothing ties the
 * process to whoever started it: it reads no stdin, needs no IPC and lives on when its supervisor restarts.
 */
export async function runLlamaEngine(options: LlamaOptions, deps: LlamaDeps): Promise<LlamaExitCode> {
  const started = await startLlamaEngine(options, deps)
  if (started.kind === 'cannot_listen') return LLAMA_EXIT.cannotListen
  const ignoreSignals = deps.onStopSignal(started.stop)
  // The reader of stderr goes away when a supervisor restarts; what is then logged is lost and nothing else.
  const ignore = () => {}
  process.stderr.on('error', ignore)
  process.on('uncaughtException', started.fail)
  try {
    return await started.ended
  } finally {
    ignoreSignals()
    process.off('uncaughtException', started.fail)
    process.stderr.off('error', ignore)
  }
}

export type StartedEngine =
  | {
      readonly kind: 'listening'
      readonly port: number
      /** Resolves when the model is loaded, or the engine ended before. */
      readonly loaded: Promise<void>
      readonly ended: Promise<LlamaExitCode>
      readonly stop: (signal: 'SIGTERM' | 'SIGINT') => void
      /** Ends the engine because of a fault outside of any request. */
      readonly fail: (error: unknown) => void
    }
  | { readonly kind: 'cannot_listen' }

/** Listens, then loads the model in the background: `/health` tells from the first moment how far it is. */
export async function startLlamaEngine(options: LlamaOptions, deps: LlamaDeps): Promise<StartedEngine> {
  const life = new EngineLife(options, deps)
  const { host } = options
  const problem = await life.listen()
  if (problem !== undefined) {
    const { code, message } = problem
    deps.log.error('cannot_listen', { reason: code, host, port: options.port, message })
    return { kind: 'cannot_listen' }
  }
  const { port, ended } = life
  deps.log.info('listening', { host, port, model: options.servedNames[0] })
  const loaded = Promise.race([life.load(), ended.then(() => {})])
  return { kind: 'listening', port, loaded, ended, stop: life.stop, fail: life.fail }
}

/** From listening to the exit code. */
class EngineLife {
  readonly ended: Promise<LlamaExitCode>
  readonly #options: LlamaOptions
  readonly #deps: LlamaDeps
  readonly #metrics = new Metrics()
  readonly #waiting: Waiting
  readonly #engine: EngineServer
  readonly #server: Server
  readonly #loading = new AbortController()
  #end: (code: LlamaExitCode) => void = () => {}

  constructor(options: LlamaOptions, deps: LlamaDeps) {
    this.#options = options
    this.#deps = deps
    this.#waiting = new Waiting(options.maxQueue)
    this.#engine = new EngineServer({ ...deps, metrics: this.#metrics, waiting: this.#waiting })
    this.#server = createServer((request, response) => void this.#engine.handle(request, response))
    this.#server.requestTimeout = 60_000
    // Longer than the idle time of clients that keep connections, so that they and not we close them.
    this.#server.keepAliveTimeout = 75_000
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  listen(): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      this.#server.once('error', resolve)
      this.#server.listen(this.#options.port, this.#options.host, () => {
        this.#server.off('error', resolve)
        resolve(undefined)
      })
    })
  }

  async load(): Promise<void> {
    const { clock, log } = this.#deps
    const startedMs = clock.monotonicMs()
    const result = await loadServing(this.#options, {
      ...this.#deps,
      metrics: this.#metrics,
      waiting: this.#waiting,
      signal: this.#loading.signal,
      onFault: this.fail,
    }).catch((error: unknown) => failure('internal', errorText(error)))
    if (this.#engine.state.kind === 'draining') return
    if (result.kind === 'failed') {
      log.error('load_failed', { reason: result.reason, message: result.message })
      this.#finish(LLAMA_EXIT.loadFailed)
      return
    }
    const { serving, threads } = result
    this.#engine.state = { kind: 'serving', serving }
    log.info('ready', {
      model: this.#options.servedNames[0],
      contextTokens: serving.contextTokens,
      parallel: this.#options.parallel,
      threads,
      loadMs: Math.round(clock.monotonicMs() - startedMs),
    })
  }

  readonly fail = (error: unknown): void => {
    this.#deps.log.error('engine_fault', { message: errorText(error) })
    this.#finish(LLAMA_EXIT.engineFault)
  }

  readonly stop = (signal: 'SIGTERM' | 'SIGINT'): void => {
    if (this.#engine.state.kind !== 'draining') {
      this.#drain(signal).catch(this.fail)
      return
    }
    this.#deps.log.warn('stopped_at_once', { signal })
    this.#finish(signal === 'SIGINT' ? LLAMA_EXIT.interrupted : LLAMA_EXIT.terminated)
  }

  async #drain(signal: string): Promise<void> {
    const { clock, log } = this.#deps
    const { drainTimeoutMs } = this.#options
    const engine = this.#engine
    const serving = engine.state.kind === 'serving' ? engine.state.serving : undefined
    engine.state = { kind: 'draining', serving }
    log.info('draining', { signal, requests: engine.inFlight, timeoutMs: drainTimeoutMs })
    this.#server.close()
    this.#server.closeIdleConnections()
    this.#loading.abort()
    if (!(await within(clock, drainTimeoutMs, engine.empty()))) {
      log.warn('drain_timed_out', { requests: engine.inFlight })
      engine.abortAll()
      await within(clock, ABORT_LIMIT_MS, engine.empty())
    }
    if (serving !== undefined) await within(clock, ABORT_LIMIT_MS, serving.model.close())
    log.info('stopped', { signal })
    this.#finish(LLAMA_EXIT.ok)
  }

  #finish(code: LlamaExitCode): void {
    this.#server.close()
    this.#server.closeAllConnections()
    this.#end(code)
  }
}

/** For aborted requests to end, and for llama.cpp to give its memory back. */
const ABORT_LIMIT_MS = 3000

/** Whether `work` ended in time. */
async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => resolve(false))
    work.then(() => resolve(true), reject).finally(() => timer.cancel())
  })
}
