import { EngineName } from '../domain/engine-name.ts'
import type { Device, LocalOccupancy, NodeStatus, PortRange } from '../domain/node.ts'
import type { Engine } from '../engines/engine.ts'
import type { FindProgram } from './processes/programs.ts'

/** Engines that this machine can run: of those that need a program, the ones that have it. */
export async function usableEngines(deps: {
  readonly engineOf: (name: EngineName) => Engine | undefined
  readonly findProgram: FindProgram
  readonly allowCommand: boolean
  /** Engines that this installation lacks parts for. */
  readonly without: readonly EngineName[]
}): Promise<EngineName[]> {
  const usable: EngineName[] = []
  for (const name of EngineName.options) {
    const engine = deps.engineOf(name)
    if (!engine?.managed || deps.without.includes(name) || (name === 'command' && !deps.allowCommand))
      continue
    const found = await Promise.all(engine.programs.map((program) => deps.findProgram(program)))
    if (engine.programs.length === 0 || found.some((path) => path !== undefined)) usable.push(name)
  }
  return usable
}

/** What a heartbeat says of the node itself. */
export function nodeStatus(about: {
  readonly name: string
  readonly version: string
  readonly platform: string
  readonly devices: readonly Device[]
  readonly engines: readonly EngineName[]
  readonly enginePorts: PortRange
  readonly listening: ReadonlySet<number>
  readonly occupancy: readonly LocalOccupancy[]
}): NodeStatus {
  const { first, last } = about.enginePorts
  const own = new Set(about.occupancy.map(({ port }) => port))
  return {
    name: about.name,
    version: about.version,
    platform: about.platform,
    devices: [...about.devices],
    engines: [...about.engines],
    enginePorts: about.enginePorts,
    takenPorts: [...about.listening]
      .filter((port) => port >= first && port <= last && !own.has(port))
      .sort((a, b) => a - b),
    occupancy: [...about.occupancy],
  }
}
