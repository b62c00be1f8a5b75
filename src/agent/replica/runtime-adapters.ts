import type { Clock } from '../../base/clock.ts'
import type { Command, Engine, Launch } from '../../engines/engine.ts'
import type { EngineHttp } from '../http/engine-http.ts'

const TRIES = 3
const PAUSE_MS = 2_000

export interface AdaptersLoaded {
  readonly loaded: readonly string[]
  /** Why others are not, for people. */
  readonly problem?: string
}

/**
 * Brings a ready engine to serve its adapters: those that its command line named are there, the others are loaded now,
 * where the engine can do that.
 */
export async function loadAdapters(
  deps: { readonly http: EngineHttp; readonly clock: Clock; readonly signal: AbortSignal },
  engine: Engine,
  launch: Pick<Launch, 'adapters' | 'port' | 'credential'>,
  command: Pick<Command, 'argv'>,
): Promise<AdaptersLoaded> {
  const loaded: string[] = []
  const problems: string[] = []
  for (const adapter of launch.adapters) {
    const problem = isNamed(command, adapter.path) ? undefined : await load(deps, engine, launch, adapter)
    if (problem === undefined) loaded.push(adapter.name)
    else problems.push(`adapter ${adapter.name} is not loaded: ${problem}`)
  }
  return { loaded, ...(problems.length === 0 ? {} : { problem: problems.join('; ') }) }
}

function isNamed(command: Pick<Command, 'argv'>, path: string): boolean {
  const asJson = JSON.stringify(path).slice(1, -1)
  return command.argv.some((word) => word.includes(path) || word.includes(asJson))
}

async function load(
  { http, clock, signal }: { readonly http: EngineHttp; readonly clock: Clock; readonly signal: AbortSignal },
  engine: Engine,
  launch: Pick<Launch, 'port' | 'credential'>,
  adapter: { readonly name: string; readonly path: string },
): Promise<string | undefined> {
  const step = engine.loadAdapter(adapter)
  if (!step) return `engine ${engine.name} takes adapters only at its start`
  for (let tries = 1; ; tries++) {
    const result = step.read(await http(launch, step.call, signal))
    signal.throwIfAborted()
    if (result.kind === 'ok') return undefined
    if (tries === TRIES) return result.message
    await clock.sleep(PAUSE_MS, signal)
  }
}
