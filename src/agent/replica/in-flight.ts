import type { Engine } from '../../engines/engine.ts'
import type { EngineHttp } from '../http/engine-http.ts'
import type { EnginePorts } from '../ports/engine-ports.ts'

/**
 * Requests that an engine still serves: by its own metrics; where it has none, none for certain when nobody is connected
 * to it. Undefined when that can't be known. What passes through the agent's proxy always counts.
 */
export async function countInFlight(
  deps: {
    readonly http: EngineHttp
    readonly ports: EnginePorts
    readonly proxied: (replica: string) => number
  },
  engine: Engine,
  assignment: { readonly replica: string; readonly port: number; readonly credential: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  const proxied = deps.proxied(assignment.replica)
  if (engine.metrics) {
    const result = await deps.http(assignment, engine.metrics, signal)
    if (result.kind === 'answer' && result.status === 200) {
      const { running, waiting } = engine.readLoad(result.body)
      if (running !== undefined) return Math.max(proxied, running + (waiting ?? 0))
    }
  }
  const open = await deps.ports.connections(assignment.port)
  if (open === 0) return proxied
  // A connection may be idle; only the proxy's own requests are known to be running.
  return proxied > 0 ? proxied : undefined
}
