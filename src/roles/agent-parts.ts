import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { type Agent, createAgent } from '../agent/agent.ts'
import { openAgentHands } from '../agent/hands.ts'
import { systemClock } from '../base/clock.ts'
import type { Fetch } from '../base/fetch.ts'
import type { Log } from '../base/log.ts'
import { VERSION } from '../base/version.ts'
import type { Labels } from '../domain/names.ts'
import type { PortRange } from '../domain/node.ts'
import { engineOf } from '../engines/index.ts'

export interface AgentParts {
  readonly control: { readonly baseUrl: string; readonly fetch: Fetch }
  readonly dataDir: string
  readonly log: Log
  readonly name: string
  readonly labels: Labels
  readonly agentUrl: () => string
  readonly enginePorts: PortRange
  readonly allowCommand: boolean
  readonly joinToken: () => Promise<string | undefined>
}

/** An agent with this machine's devices, processes, ports and disk. `close` gives the data directory up. */
export async function makeAgent(parts: AgentParts): Promise<{ agent: Agent; close(): Promise<void> }> {
  const hands = await openAgentHands({
    dataDir: parts.dataDir,
    clock: systemClock,
    log: parts.log,
    machine: {
      pid: process.pid,
      os: process.platform,
      env: process.env,
      cpuCount: availableParallelism(),
      cpuModel: cpus()[0]?.model ?? 'processor',
      memoryBytes: totalmem(),
    },
  })
  const agent = createAgent({
    ...hands,
    ...parts,
    clock: systemClock,
    random: Math.random,
    newId: () => randomUUID(),
    version: VERSION,
    platform: `${process.platform}-${process.arch}`,
    engineOf,
    yardCommand: [process.execPath, resolve(process.argv[1] ?? 'yard.js')],
    // The hands know of a container's share of the processors.
    threads: Math.max(1, hands.cpuCount - 1),
    withoutEngines: hasLlamaBinary() ? [] : ['llama'],
    env: process.env,
  })
  return { agent, close: () => hands.close() }
}

/** True where node-llama-cpp has a compiled llama.cpp for this platform. */
function hasLlamaBinary(): boolean {
  const require = createRequire(import.meta.url)
  const platform = process.platform === 'darwin' ? 'mac' : process.platform
  return [`${platform}-${process.arch}`, `${platform}-${process.arch}-metal`].some((name) => {
    try {
      return require.resolve(`@node-llama-cpp/${name}`) !== ''
    } catch {
      return false
    }
  })
}
