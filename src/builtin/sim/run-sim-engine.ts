import { access } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { listenHttp, type SimListen, type SimListener } from './node-listener.ts'
import { SIM_VERSION } from './routes.ts'
import { createSimEngine } from './sim-engine.ts'
import { type SimLog, vllmLog } from './sim-log.ts'
import type { SimOptions } from './sim-options.ts'
import { portInUse, type StartupLine, startupScript } from './startup.ts'

export interface SimProcessDeps {
  readonly clock: Clock
  /** Gets whole lines; vLLM logs to stderr. */
  readonly writeLog: (line: string) => void
  /** Aborts on SIGTERM or SIGINT. */
  readonly shutdown: AbortSignal
  /** Shown in log lines. */
  readonly pid?: number
  /** Ids of answers; without it they repeat from start to start with the same seed. */
  readonly requestId?: () => string
  /** Opens the port; the simulation passes one without sockets. */
  readonly listen?: SimListen
  /** Told once connections are accepted. */
  readonly onReady?: (port: number) => void
}

/**
 * The life of one engine process, from load to exit. Connections are refused until it is ready, as with vLLM.
 * Resolves with the exit code: 0 after a shutdown, 1 or 2 when it could not start, a `crash` fault's own.
 */
export async function runSimEngine(options: SimOptions, deps: SimProcessDeps): Promise<number> {
  const { clock, shutdown } = deps
  const log = vllmLog(deps.writeLog, clock, deps.pid ?? 1)
  const listen = deps.listen ?? listenHttp
  // vLLM binds its port before it loads anything, so a port in use shows at once.
  const taken = options.startupFail === undefined ? await portProblem(options, listen, clock) : undefined
  const script = startupScript(options, SIM_VERSION)
  if (taken) return failStart(taken.lines, taken.exitCode, log)
  if (!(await playStartup(script.lines, options.startupMs, { log, clock, shutdown }))) return 0
  if (script.exitCode !== undefined) return script.exitCode

  let exit: (exitCode: number) => void = () => {}
  const crashed = new Promise<number>((resolve) => {
    exit = resolve
  })
  let listener: SimListener | undefined
  const engine = createSimEngine(options, {
    clock,
    log,
    adapterExists,
    onCrash: exit,
    onRefuse: (durationMs) => listener?.refuse(durationMs),
    ...(deps.requestId ? { requestId: deps.requestId } : {}),
  })
  try {
    listener = await listen(engine.handle, { host: options.host, port: options.port, clock })
  } catch (error) {
    if (!isPortInUse(error)) throw error
    const { lines, exitCode } = portInUse(options.host, options.port)
    return failStart(lines, exitCode, log)
  }
  deps.writeLog('INFO:     Application startup complete.\n')
  deps.onReady?.(listener.port)

  const crashCode = await Promise.race([crashed, aborted(shutdown)])
  if (crashCode === undefined) {
    log('INFO', 'launcher.py:110', 'Shutting down FastAPI HTTP server.')
    await engine.stop()
  }
  await listener.close()
  return crashCode ?? 0
}

/** Writes each line when its time has come. False when told to shut down meanwhile. */
async function playStartup(
  lines: readonly StartupLine[],
  startupMs: number,
  { clock, log, shutdown }: { clock: Clock; log: SimLog; shutdown: AbortSignal },
): Promise<boolean> {
  const startMs = clock.monotonicMs()
  for (const line of lines) {
    const leftMs = startMs + line.share * startupMs - clock.monotonicMs()
    // A rejection is the shutdown, seen below.
    if (leftMs > 0) await clock.sleep(leftMs, shutdown).catch(() => {})
    if (shutdown.aborted) return false
    log(line.level, line.at, line.text, line.source)
  }
  return true
}

function failStart(lines: readonly StartupLine[], exitCode: number, log: SimLog): number {
  for (const line of lines) log(line.level, line.at, line.text, line.source)
  return exitCode
}

/** Opens the port for a moment. Another fault of the network is reported when the port is really opened. */
async function portProblem(options: SimOptions, listen: SimListen, clock: Clock) {
  const { host, port } = options
  try {
    const probe = await listen(({ reply }) => reply.cut(), { host, port, clock })
    await probe.close()
    return undefined
  } catch (error) {
    return isPortInUse(error) ? portInUse(host, port) : undefined
  }
}

function isPortInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}

/** A path on this machine must exist; a name on a model hub is taken on trust. */
async function adapterExists(path: string): Promise<boolean> {
  if (!isAbsolute(path)) return true
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
