import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../base/clock.ts'
import type { Assignment } from '../domain/replica.ts'
import { anAssignment, FakeControl } from './agent.testing.ts'
import { type RealAgent, startRealAgent } from './agent-program.testing.ts'
import { systemFiles } from './devices/system-files.ts'
import { procProcessTable } from './processes/proc-process-table.ts'
import { processSpawner } from './processes/process-spawner.ts'

/** Serves what engine `command` asks for, and misbehaves on request. */
const ENGINE = `#!/usr/bin/env node
const { createServer } = require('node:http')
const { spawn } = require('node:child_process')
const { writeFileSync, writeSync } = require('node:fs')
const [port, mode, more] = process.argv.slice(2)
console.log('engine of mode', mode, 'on', port)
if (mode === 'exit') { console.error('error: that model can not be loaded'); process.exit(3) }
if (mode === 'worker') spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
if (mode === 'deaf') process.on('SIGTERM', () => {})
let written = 0
if (mode === 'flood') {
  const line = Buffer.alloc(1 << 20, 'flood flood flood flood flood f\\n')
  const flood = () => {
    for (let turn = 0; turn < 4; turn++) written += writeSync(1, line)
    setTimeout(flood, 20)
  }
  flood()
}
createServer((request, response) => {
  if (request.headers.authorization !== 'Bearer ' + process.env.YARD_ENGINE_KEY) {
    response.writeHead(401).end()
  } else if (request.url === '/written') response.end(String(written))
  else if (request.url === '/v1/models') response.end(JSON.stringify({ pid: process.pid, written }))
  else if (request.url === '/v1/chat/completions') {
    response.write('data: 1\\n\\n')
    request.resume()
    request.on('end', () => setTimeout(() => response.end('data: [DONE]\\n\\n'), Number(more ?? 0)))
  } else response.end('ok')
}).listen(Number(port), '127.0.0.1')
`

// Real processes on a busy machine: these are limits for a test that fails, not times that are measured.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const table = procProcessTable()
const spawner = processSpawner({ table, files: systemFiles })
let dir = ''
let program = ''
let control: FakeControl
let server: Server
let controlUrl = ''
let agents: RealAgent[] = []
let children: ChildProcess[] = []
let nextPort = 21_000 + Math.floor(Math.random() * 7_000)

beforeAll(async () => {
  program = await mkdtemp(join(tmpdir(), 'yard-agent-program-'))
  await build({
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: join(import.meta.dirname, 'agent-program.testing.ts'),
      outDir: program,
      emptyOutDir: true,
      minify: false,
      rollupOptions: { output: { entryFileNames: 'agent.mjs' } },
    },
    ssr: { noExternal: true },
  })
}, 60_000)
afterAll(() => rm(program, { recursive: true, force: true }))

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'yard-agent-'))
  await writeFile(join(dir, 'engine'), ENGINE)
  await chmod(join(dir, 'engine'), 0o755)
  control = new FakeControl(systemClock)
  agents = []
  children = []
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}
      const { authorization = '' } = request.headers
      const asked = new Request(new URL(request.url ?? '', 'http://control'), {
        method: request.method ?? 'GET',
        headers: { authorization, 'content-type': 'application/json' },
        ...body,
      })
      void control.fetch(asked).then(
        async (answer) => response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer())),
        () => response.destroy(),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  controlUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  for (const agent of agents) await agent.close()
  const { agentId } = JSON.parse(await readFile(join(dir, 'data', 'agent', 'identity.json'), 'utf8'))
  for (const { runId, process: first } of await spawner.find(agentId)) {
    await spawner.signal({ id: runId, logPath: '', process: first }, 'SIGKILL')
  }
  server.closeAllConnections()
  server.close()
  await rm(dir, { recursive: true, force: true })
})

async function anAgent(more: Partial<Parameters<typeof startRealAgent>[0]> = {}): Promise<RealAgent> {
  const env = { PATH: process.env.PATH, LD_PRELOAD: undefined }
  const agent = await startRealAgent({ dataDir: join(dir, 'data'), controlUrl, env, ...more })
  agents.push(agent)
  return agent
}

/** An agent in a process of its own. */
function anAgentProcess(): ChildProcess {
  const argv = [join(program, 'agent.mjs'), '--agent-program', join(dir, 'data'), controlUrl]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] })
  children.push(child)
  return child
}

function anEngine(mode: string, more: Partial<Assignment> & { readonly args?: string[] } = {}): Assignment {
  const { args = [], ...rest } = more
  return anAssignment({
    engine: 'command',
    source: `command:${join(dir, 'engine')}`,
    command: ['{port}', mode, ...args],
    port: nextPort++,
    drainTimeoutMs: 0,
    ...rest,
  })
}

const REPLICA = 'tiny-1f3a9c20-a'
const phase = (wanted: string) =>
  vi.waitFor(() => expect(control.status()?.phase).toBe(wanted), { timeout: 30_000, interval: 30 })

async function gone(pid: number) {
  await vi.waitFor(async () => expect((await table.row(pid))?.ended ?? true).toBe(true), { timeout: 30_000 })
}

describe('an agent on a real machine', () => {
  test('starts an engine, serves it through its proxy, and stops all of it', async () => {
    const agent = await anAgent()
    const engine = anEngine('worker', { args: ['100'] })
    control.want([engine])
    await phase('ready')
    const pid = control.status()?.pid as number
    const answer = await fetch(`${agent.url}/engines/${REPLICA}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: 'Bearer engine-secret' },
      body: '{}',
    })
    expect(await answer.text()).toBe('data: 1\n\ndata: [DONE]\n\n')
    const workers = (await table.rows()).filter((row) => row.group === pid).map((row) => row.pid)
    expect(workers).toHaveLength(2)
    expect(control.beats.at(-1)?.status.takenPorts).not.toContain(engine.port)
    control.want([{ ...engine, desired: 'stop' }])
    await phase('stopped')
    for (const worker of workers) await gone(worker)
    control.want([])
    await vi.waitFor(async () => expect(await readdir(join(dir, 'data', 'agent', 'replicas'))).toEqual([]))
    const logs = await fetch(`${agent.url}/replicas/${REPLICA}/logs`, {
      headers: { authorization: 'Bearer control-secret' },
    })
    expect(await logs.text()).toBe(`engine of mode worker on ${engine.port}\n`)
  })

  test('reports the machine’s processors and memory', async () => {
    await anAgent()
    await vi.waitFor(() => expect(control.beats.length).toBeGreaterThan(0))
    const cpu = control.beats.at(-1)?.status.devices.find((device) => device.id === 'cpu')
    expect(cpu).toMatchObject({ kind: 'cpu', healthy: true })
    expect(cpu?.memoryBytes).toBeGreaterThan(100e6)
  })

  test('finds GPUs with the tools on its search path, and marks them when the driver stops answering', async () => {
    const bin = join(dir, 'bin')
    await mkdir(bin)
    const list = '0, GPU-1234, NVIDIA H100 80GB HBM3, 81559, 4, 0, 31, 71.42, Disabled'
    await writeFile(
      join(bin, 'nvidia-smi'),
      `#!/bin/sh\nif [ -f ${join(dir, 'broken')} ]; then echo 'NVIDIA-SMI has failed' >&2; exit 9; fi\necho '${list}'\n`,
    )
    await chmod(join(bin, 'nvidia-smi'), 0o755)
    const env = { PATH: `${bin}:${process.env.PATH}` }
    const first = await anAgent({ env })
    await vi.waitFor(() =>
      expect(control.beats.at(-1)?.status.devices.map(({ id }) => id)).toEqual(['GPU-1234', 'cpu']),
    )
    expect(control.beats.at(-1)?.status.devices[0]).toMatchObject({
      kind: 'cuda',
      memoryBytes: 81559 * 1024 * 1024,
    })
    await writeFile(join(dir, 'broken'), '')
    await vi.waitFor(
      () => expect(control.beats.at(-1)?.status.devices[0]).toMatchObject({ healthy: false }),
      { timeout: 30_000 },
    )
    await first.close()
    agents = []
  })

  test('leaves its engine alone when it is killed, and the next one goes on with it', async () => {
    const agent = anAgentProcess()
    const engine = anEngine('plain')
    control.want([engine])
    await phase('ready')
    const pid = control.status()?.pid as number
    agent.kill('SIGKILL')
    await new Promise((resolve) => agent.once('exit', resolve))
    expect((await table.row(pid))?.ended).toBe(false)
    const before = control.beats.length
    anAgentProcess()
    await vi.waitFor(() => expect(control.beats.length).toBeGreaterThan(before + 1), { timeout: 30_000 })
    for (const beat of control.beats.slice(before)) {
      expect(beat.replicas).toMatchObject([{ phase: 'ready', pid, restarts: 0 }])
    }
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(control.status()).toMatchObject({ phase: 'ready', restarts: 1 }), {
      timeout: 30_000,
    })
    const second = control.status()?.pid as number
    expect(second).not.toBe(pid)
    control.want([{ ...engine, desired: 'stop' }])
    await phase('stopped')
    await gone(second)
  })

  test('is refused a directory that another agent uses', async () => {
    anAgentProcess()
    await vi.waitFor(() => expect(control.beats.length).toBeGreaterThan(0), { timeout: 30_000 })
    await expect(startRealAgent({ dataDir: join(dir, 'data'), controlUrl, env: {} })).rejects.toMatchObject({
      code: 'data_dir_unusable',
    })
  })

  test('tells why an engine ended, with its last lines', async () => {
    await anAgent()
    control.want([anEngine('exit')])
    await vi.waitFor(() => expect(control.status()?.failure).toBeDefined(), { timeout: 30_000 })
    expect(control.status()?.failure).toMatchObject({
      exitCode: 3,
      lastLines: [expect.stringContaining('engine of mode exit'), 'error: that model can not be loaded'],
    })
  })

  test('says that a port is taken, by which program it may be', async () => {
    const engine = anEngine('plain')
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(engine.port, '127.0.0.1', resolve))
    await anAgent()
    control.want([engine])
    await vi.waitFor(() => expect(control.status()?.failure?.reason).toBe('port_in_use'), { timeout: 30_000 })
    expect(control.beats.at(-1)?.status.takenPorts).toContain(engine.port)
    await phase('failed')
    holder.close()
  })

  test('ends an engine that hangs and starts it again', async () => {
    await anAgent()
    control.want([anEngine('plain')])
    await phase('ready')
    const pid = control.status()?.pid as number
    process.kill(pid, 'SIGSTOP')
    await phase('unhealthy')
    await gone(pid)
    await vi.waitFor(() => expect(control.status()).toMatchObject({ phase: 'ready', restarts: 1 }), {
      timeout: 30_000,
    })
  })

  test('ends an engine that is deaf to SIGTERM', async () => {
    await anAgent()
    const engine = anEngine('deaf')
    control.want([engine])
    await phase('ready')
    const pid = control.status()?.pid as number
    control.want([{ ...engine, desired: 'stop' }])
    await gone(pid)
    await phase('stopped')
  })

  test('bounds what an engine that floods its log takes of the disk', async () => {
    const agent = await anAgent({ logLimits: { fileBytes: 2_000_000, files: 3, forgottenReplicas: 1 } })
    control.want([anEngine('flood')])
    await phase('ready')
    const written = async () => {
      const answer = await fetch(`${agent.url}/engines/${REPLICA}/v1/models`, {
        headers: { authorization: 'Bearer engine-secret' },
      })
      return ((await answer.json()) as { written: number }).written
    }
    let most = 0
    await vi.waitFor(
      async () => {
        const logDir = join(dir, 'data', 'agent', 'logs', REPLICA)
        let bytes = 0
        for (const name of await readdir(logDir))
          bytes += (await stat(join(logDir, name)).catch(() => undefined))?.size ?? 0
        most = Math.max(most, bytes)
        expect(await written()).toBeGreaterThan(800_000_000)
      },
      { timeout: 40_000, interval: 20 },
    )
    expect(most).toBeLessThan(600_000_000)
    expect(control.status()?.phase).toBe('ready')
  })

  test('stops its engines when its end is to be theirs', async () => {
    const agent = await anAgent()
    control.want([anEngine('worker')])
    await phase('ready')
    const pid = control.status()?.pid as number
    await agent.agent.stopAll()
    expect(
      await spawner.members({ id: 'none', logPath: '', process: { pid, start: '', bootId: '' } }),
    ).toEqual([])
    await gone(pid)
  })
})
