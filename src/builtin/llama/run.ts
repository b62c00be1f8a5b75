import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { errorText } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { loadServing } from './load.ts'
import { Metrics } from './metrics.ts'
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
  try {
    return await started.ended
  } finally {
    ignoreSignals()
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
    }
  | { readonly kind: 'cannot_listen' }

/** Listens, then loads the model in the background: `/health` tells from the first moment how far it is. */
export async function startLlamaEngine(options: LlamaOptions, deps: LlamaDeps): Promise<StartedEngine> {
  const { clock, log } = deps
  const startedMs = clock.monotonicMs()
  const metrics = new Metrics()
  const waiting = new Waiting(options.maxQueue)
  const engine = new EngineServer({ ...deps, metrics, waiting })
  const server = createServer((request, response) => void engine.handle(request, response))
  server.requestTimeout = 60_000
  // Longer than the idle time of clients that keep connections, so that they and not we close them.
  server.keepAliveTimeout = 75_000
  const problem = await listen(server, options)
  if (problem !== undefined) {
    const { host, port } = options
    log.error('cannot_listen', { reason: problem.code, host, port, message: problem.message })
    return { kind: 'cannot_listen' }
  }
  const { port } = server.address() as AddressInfo
  log.info('listening', { host: options.host, port, model: options.servedNames[0] })

  let end: (code: LlamaExitCode) => void = () => {}
  const ended = new Promise<LlamaExitCode>((resolve) => {
    end = resolve
  })
  const loading = new AbortController()
  const loaded = loadServing(options, {
    ...deps,
    metrics,
    waiting,
    signal: loading.signal,
    onFault: (error) => {
      log.error('engine_fault', { message: errorText(error) })
      end(LLAMA_EXIT.engineFault)
    },
  }).then((result) => {
    if (engine.state.kind === 'draining') return
    if (result.kind === 'failed') {
      log.error('load_failed', { reason: result.reason, message: result.message })
      close(server)
      end(LLAMA_EXIT.loadFailed)
      return
    }
    const { serving, threads } = result
    engine.state = { kind: 'serving', serving }
    log.info('ready', {
      model: options.servedNames[0],
      contextTokens: serving.contextTokens,
      parallel: options.parallel,
      threads,
      loadMs: Math.round(clock.monotonicMs() - startedMs),
    })
  })
  loaded.catch((error: unknown) => {
    log.error('load_failed', { reason: 'internal', message: errorText(error) })
    end(LLAMA_EXIT.loadFailed)
  })

  const drain = async (signal: string) => {
    const serving = engine.state.kind === 'serving' ? engine.state.serving : undefined
    engine.state = { kind: 'draining', serving }
    log.info('draining', { signal, requests: engine.inFlight, timeoutMs: options.drainTimeoutMs })
    server.close()
    server.closeIdleConnections()
    loading.abort()
    const finished = await within(clock, options.drainTimeoutMs, engine.empty())
    if (!finished) {
      log.warn('drain_timed_out', { requests: engine.inFlight })
      engine.abortAll()
      await within(clock, ABORT_LIMIT_MS, engine.empty())
    }
    close(server)
    if (serving !== undefined) await within(clock, ABORT_LIMIT_MS, serving.model.close())
    log.info('stopped', { signal })
    end(LLAMA_EXIT.ok)
  }
  const stop = (signal: 'SIGTERM' | 'SIGINT') => {
    if (engine.state.kind !== 'draining') {
      drain(signal).catch((error: unknown) => {
        log.error('engine_fault', { message: errorText(error) })
        end(LLAMA_EXIT.engineFault)
      })
      return
    }
    log.warn('stopped_at_once', { signal })
    close(server)
    end(signal === 'SIGINT' ? LLAMA_EXIT.interrupted : LLAMA_EXIT.terminated)
  }
  return { kind: 'listening', port, loaded: Promise.race([loaded, ended.then(() => {})]), ended, stop }
}

/** For aborted requests to end, and for llama.cpp to give its memory back. */
const ABORT_LIMIT_MS = 3000

function listen(server: Server, { host, port }: LlamaOptions): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen(port, host, () => {
      server.off('error', resolve)
      resolve(undefined)
    })
  })
}

function close(server: Server): void {
  server.close()
  server.closeAllConnections()
}

/** Whether `work` ended in time. */
async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => resolve(false))
    work.then(() => resolve(true), reject).finally(() => timer.cancel())
  })
}
