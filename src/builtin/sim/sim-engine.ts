import type { Clock } from '../../base/clock.ts'
import { errorText, YardError } from '../../base/errors.ts'
import type { Fetch } from '../../base/fetch.ts'
import { seededRandom } from '../../base/random.ts'
import { isGuarded, keyCheck } from './access.ts'
import { createAdapters } from './adapters.ts'
import { hashSeed } from './block-hash.ts'
import { createEngineLoop } from './engine-loop.ts'
import { type Exchange, sendError, sendJson } from './exchange.ts'
import { CRASH_WORDS, createFaultTable } from './faults.ts'
import { connectionError, fetchFrom } from './fetch-exchange.ts'
import { trackedReply } from './open-replies.ts'
import { routesOf } from './routes.ts'
import type { Serve } from './serve.ts'
import { createSimCore } from './sim-core.ts'
import type { SimLog } from './sim-log.ts'
import { createSimMetrics } from './sim-metrics.ts'
import { capacityOf, type SimOptions } from './sim-options.ts'
import type { SimStats } from './sim-request.ts'
import type { SimState } from './sim-state.ts'
import { createStatsLog } from './stats-log.ts'

export interface SimEngineDeps {
  readonly clock: Clock
  readonly log?: SimLog
  /** Ids of answers. Without it they are made from the seed, model and port. */
  readonly requestId?: () => string
  /** Whether an adapter's path can be loaded. Without it every path can. */
  readonly adapterExists?: (path: string) => Promise<boolean>
  /** A fault closed the port: whoever listens must refuse connections this long. */
  readonly onRefuse?: (durationMs: number) => void
  /** A fault ended the process. Open answers are broken by then. */
  readonly onCrash?: (exitCode: number) => void
}

/** A ready engine, without a socket. */
export interface SimEngine {
  readonly handle: (exchange: Exchange) => void
  /** The same in-process. Rejects like `fetch` while connections are refused and after a crash or stop. */
  readonly fetch: Fetch
  readonly stats: () => SimStats
  /**
   * What SIGTERM does: new requests get 503; those in flight end with `finish_reason: "abort"`, at once or
   * when `shutdownTimeoutMs` is over. Resolves when nothing is in flight.
   */
  stop(): Promise<void>
}

/** Throws `engine_failed` when the options do not fit the profile's device (see `capacityOf`). */
export function createSimEngine(options: SimOptions, deps: SimEngineDeps): SimEngine {
  const { clock } = deps
  const state = createState(options, deps)
  const routes = byPath(state)
  const allowed = keyCheck(options.apiKeys)
  let phase: 'serving' | 'draining' | 'stopped' = 'serving'

  const handle = (incoming: Exchange) => {
    const { path, method } = incoming
    if (phase === 'stopped') {
      incoming.reply.cut()
      return
    }
    const route = routes.get(path)
    const reply = trackedReply(incoming, route !== undefined, state)
    const exchange = { ...incoming, reply }
    if (phase === 'draining') sendError(reply, SHUTTING_DOWN)
    else if (isGuarded(path) && method !== 'OPTIONS' && !allowed(incoming.header('authorization')))
      sendJson(reply, 401, { error: 'Unauthorized' })
    else if (route === undefined) sendJson(reply, 404, { detail: 'Not Found' })
    else {
      const serve = route.get(method)
      if (serve) guarded(serve, exchange)
      else sendJson(reply, 405, { detail: 'Method Not Allowed' }, { allow: [...route.keys()].join(', ') })
    }
  }

  /** One request must not end the process for all. */
  const guarded = (serve: Serve, exchange: Exchange) => {
    try {
      serve(exchange)
    } catch (error) {
      deps.log?.('ERROR', 'serving.py:180', `This is a bug of the simulation: ${errorText(error)}`)
      sendError(exchange.reply, {
        status: 500,
        type: 'InternalServerError',
        message: 'Internal server error',
      })
    }
  }
  const overSocketless = fetchFrom(handle)
  const halt = () => {
    phase = 'stopped'
    state.loop.stop()
    state.stopLog()
    for (const reply of [...state.openReplies]) reply.cut()
  }
  state.crash = ({ exitCode = 1, reason = 'engine_dead' }) => {
    if (phase === 'stopped') return
    deps.log?.('ERROR', 'core.py:710', 'EngineCore encountered a fatal error.', 'EngineCore_DP0')
    deps.log?.('ERROR', 'core.py:710', CRASH_WORDS[reason], 'EngineCore_DP0')
    halt()
    deps.onCrash?.(exitCode)
  }

  return {
    handle,
    async fetch(request) {
      if (phase === 'stopped' || clock.monotonicMs() < state.refusedUntilMs)
        throw connectionError('ECONNREFUSED')
      return overSocketless(request)
    },
    stats: () => state.core.stats(),
    async stop() {
      if (phase !== 'serving') return
      phase = 'draining'
      const untilMs = clock.monotonicMs() + options.shutdownTimeoutMs
      while (state.loop.live() > 0 && clock.monotonicMs() < untilMs)
        await clock.sleep(Math.min(DRAIN_POLL_MS, untilMs - clock.monotonicMs()))
      state.loop.abortAll()
      halt()
    },
  }
}

const DRAIN_POLL_MS = 20

const SHUTTING_DOWN = {
  status: 503,
  type: 'ServiceUnavailable',
  message: 'Server is shutting down, no new requests are accepted.',
}

function byPath(state: SimState): ReadonlyMap<string, ReadonlyMap<string, Serve>> {
  const paths = new Map<string, Map<string, Serve>>()
  for (const [method, path, serve] of routesOf(state))
    paths.set(path, (paths.get(path) ?? new Map()).set(method, serve))
  return paths
}

function createState(options: SimOptions, deps: SimEngineDeps): SimState {
  const { clock } = deps
  const capacity = capacityOf(options)
  if (capacity.kind !== 'fits')
    throw new YardError('engine_failed', 'the simulated KV cache does not fit the device', {
      reason: capacity.kind,
      hint: 'lower maxModelLen, or raise numGpuBlocksOverride or gpuMemoryUtilization',
    })
  const { numBlocks, maxModelLen } = capacity
  const core = createSimCore({
    model: options.model,
    numBlocks,
    maxModelLen,
    blockSize: options.blockSize,
    maxNumSeqs: options.maxNumSeqs,
    maxNumBatchedTokens: options.maxNumBatchedTokens,
    maxQueuedRequests: options.maxNumQueuedReqs,
    maxAdapters: options.maxLoras,
    prefixCaching: options.prefixCaching,
    stepMs: options.profile.stepMs,
    speed: options.speed,
    jitter: options.jitter,
    seed: options.seed,
  })
  const metrics = createSimMetrics({
    modelName: options.servedModelNames[0] ?? options.model,
    maxModelLen,
    numBlocks,
    blockSize: options.blockSize,
    gpuMemoryUtilization: options.gpuMemoryUtilization,
    prefixCaching: options.prefixCaching,
    maxLoras: options.enableLora ? options.maxLoras : undefined,
    startedAtMs: clock.now(),
  })
  const random = seededRandom(hashSeed('requests', options.model, String(options.port), String(options.seed)))
  const statsLog = deps.log ? createStatsLog(core, clock, deps.log) : undefined
  const loop = createEngineLoop(core, clock, (event) => {
    metrics.observe(event)
    statsLog?.observe(event)
  })
  return {
    options,
    maxModelLen,
    clock,
    core,
    loop,
    metrics,
    faults: createFaultTable(random),
    adapters: createAdapters({
      enabled: options.enableLora,
      modules: options.loraModules,
      exists: deps.adapterExists ?? (() => Promise.resolve(true)),
    }),
    openReplies: new Set(),
    requestId: deps.requestId ?? (() => randomHex(random)),
    log: deps.log ?? (() => {}),
    refusedUntilMs: 0,
    staleMetrics: undefined,
    startedAtMs: clock.now(),
    onRefuse: deps.onRefuse ?? (() => {}),
    stopLog: () => statsLog?.stop(),
    crash: () => {},
  }
}

function randomHex(random: () => number): string {
  const word = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0')
  return word() + word() + word() + word()
}
