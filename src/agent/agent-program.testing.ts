import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { cpus, totalmem } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { jsonLog } from '../base/log.ts'
import type { Engine } from '../engines/engine.ts'
import { engineOf } from '../engines/registry.ts'
import { type Agent, createAgent } from './agent.ts'
import { openAgentHands } from './hands.ts'

/** Engine `command`, looked at more often than in real life. */
const impatient: Engine = {
  ...engineOf('command'),
  liveness: { ...engineOf('command').liveness, timeoutMs: 500, everyMs: 200, failuresToUnhealthy: 2 },
}

export interface RealAgent {
  readonly agent: Agent
  readonly url: string
  /** Ends the agent and leaves its engines. */
  close(): Promise<void>
}

/** An agent on this machine, with real hands, for the tests. */
export async function startRealAgent(about: {
  readonly dataDir: string
  readonly controlUrl: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logLimits?: {
    readonly fileBytes: number
    readonly files: number
    readonly forgottenReplicas: number
  }
}): Promise<RealAgent> {
  const log = jsonLog((line) => void process.stderr.write(line), systemClock, {
    part: 'agent',
    level: 'error',
  })
  const hands = await openAgentHands({
    ...about,
    clock: systemClock,
    log,
    machine: {
      pid: process.pid,
      os: process.platform,
      env: about.env,
      cpuCount: cpus().length,
      cpuModel: 'test',
      memoryBytes: totalmem(),
    },
  })
  const stop = new AbortController()
  let url = ''
  const agent = createAgent({
    ...hands,
    control: { fetch: (request) => fetch(request), baseUrl: about.controlUrl },
    clock: systemClock,
    random: Math.random,
    log,
    newId: randomUUID,
    joinToken: async () => 'join-token',
    name: 'node-1',
    labels: {},
    agentUrl: () => url,
    version: '0.1.0',
    platform: 'test',
    enginePorts: { first: 20_000, last: 29_999 },
    allowCommand: true,
    engineOf: (name) => (name === 'command' ? impatient : engineOf(name)),
    yardCommand: ['yard'],
    threads: 1,
    env: about.env,
  })
  const server = createServer(agent.listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const ended = agent.run(stop.signal)
  ended.catch((error: unknown) => process.stderr.write(`${String(error)}\n`))
  return {
    agent,
    url,
    async close() {
      stop.abort()
      await ended.catch(() => {})
      server.closeAllConnections()
      server.close()
      await hands.close()
    },
  }
}

// Also a program of its own, so that a test can kill it.
const [dataDir, controlUrl] = process.argv.slice(process.argv.indexOf('--agent-program') + 1)
if (process.argv.includes('--agent-program') && dataDir !== undefined && controlUrl !== undefined) {
  await startRealAgent({ dataDir, controlUrl, env: process.env })
}
