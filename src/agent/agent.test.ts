import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { YardError } from '../base/errors.ts'
import type { Assignment } from '../domain/replica.ts'
import type { HttpResult } from '../engines/engine.ts'
import { anAgentWorld, anAssignment, HEALTHY } from './agent.testing.ts'
import type { ProbeReading } from './devices/device-probe.ts'
import type { SpawnAsk } from './processes/spawner.ts'

const REPLICA = 'tiny-1f3a9c20-a'
const PORT = 20_000

async function aReadyReplica(more: Parameters<typeof anAssignment>[0] = {}) {
  const world = anAgentWorld()
  world.control.want([anAssignment(more)])
  await world.until(() => world.control.status()?.phase === 'ready')
  return world
}

describe('joining', () => {
  test('needs a token once; a later start needs none and is the same agent', async () => {
    const world = anAgentWorld()
    await world.until(() => world.control.beats.length > 0)
    expect(world.control.registrations).toMatchObject([{ name: 'node-1', joinToken: 'join-token' }])
    await world.stopAgent()
    const before = world.control.beats.length
    world.startAgent({ joinToken: () => Promise.reject(new Error('nobody is to ask for it')) })
    await world.until(() => world.control.beats.length > before)
    expect(world.control.registrations).toHaveLength(1)
    expect(new Set(world.control.beats.map((beat) => beat.agentId)).size).toBe(1)
  })

  test('keeps the token nowhere', async () => {
    const world = anAgentWorld()
    await world.until(() => world.control.beats.length > 0)
    expect(JSON.stringify(await world.machine.disk.identity())).not.toContain('join-token')
  })

  test('without a token or a memory of one says what to do', async () => {
    const world = anAgentWorld({ joinToken: async () => undefined })
    await world.until(() => true)
    await world.clock.advance(1_000)
    expect(await world.ended).toMatchObject({
      code: 'unauthenticated',
      hint: expect.stringContaining('yard node join-token'),
    })
  })

  test('under a name that another agent has is refused clearly', async () => {
    const world = anAgentWorld()
    world.control.faults.register = new YardError('conflict', 'taken')
    await world.clock.advance(1_000)
    expect(await world.ended).toMatchObject({
      code: 'conflict',
      message: 'a node named "node-1" is already registered by another agent',
    })
  })

  test('waits for a server that is away', async () => {
    const world = anAgentWorld()
    world.control.away = true
    await world.clock.advance(120_000)
    world.control.away = false
    await world.until(() => world.control.beats.length > 0, 60_000)
  })

  test('joins again, as the same agent, when control has forgotten it and there is a token', async () => {
    const world = await aReadyReplica()
    world.control.faults.heartbeat = new YardError('not_found', 'no such node')
    await world.until(() => world.control.registrations.length > 1)
    delete world.control.faults.heartbeat
    const { registrations } = world.control
    expect(registrations[1]?.agentId).toBe(registrations[0]?.agentId)
    expect(world.machine.living).toHaveLength(1)
  })

  test('ends when another agent reports under this name, and leaves the engines alone', async () => {
    const world = await aReadyReplica()
    world.control.faults.heartbeat = new YardError('conflict', 'another agent')
    await world.clock.advance(10_000)
    expect(await world.ended).toMatchObject({
      code: 'conflict',
      message: 'another agent reports as node "node-1"',
    })
    expect(world.machine.living).toHaveLength(1)
  })
})

describe('reporting', () => {
  test('tells devices, engines and ports of others, and holds what it runs', async () => {
    const world = anAgentWorld()
    world.machine.takenPorts.add(20_005).add(80)
    world.control.want([anAssignment({ deviceIds: ['cpu'], bytesPerDevice: 7 })])
    await world.until(() => world.control.status()?.phase === 'ready')
    const status = world.control.beats.at(-1)?.status
    expect(status).toMatchObject({
      name: 'node-1',
      devices: [{ id: 'cpu' }],
      enginePorts: { first: 20_000, last: 29_999 },
      takenPorts: [20_005],
      occupancy: [{ replica: REPLICA, deviceIds: ['cpu'], bytesPerDevice: 7, port: PORT }],
    })
    expect(status?.engines).toEqual(['llama', 'sim'])
  })

  test('a change goes out at once, without waiting for the next beat', async () => {
    const world = await aReadyReplica()
    await world.clock.advance(1_000)
    const before = world.control.beats.length
    world.machine.at(PORT)?.end({ code: 1 })
    await world.clock.advance(400)
    expect(world.control.beats.length).toBeGreaterThan(before)
    expect(world.control.status()?.failure).toMatchObject({ reason: 'exited', exitCode: 1 })
  })

  test('goes on at its pace when nothing happens', async () => {
    const world = await aReadyReplica()
    await world.clock.advance(5_000)
    const before = world.control.beats.length
    await world.clock.advance(31_000)
    expect(world.control.beats.length - before).toBeGreaterThanOrEqual(9)
    expect(world.control.beats.length - before).toBeLessThanOrEqual(11)
  })

  test('looks at sources that control asks about', async () => {
    const world = anAgentWorld()
    world.machine.models['file:/no'] = { kind: 'missing', message: 'nothing there' }
    world.control.want([], ['file:/no', 'sim:x'])
    await world.until(() => world.control.reports.length === 2)
    expect(world.control.reports).toEqual([
      { source: 'file:/no', report: { kind: 'missing', message: 'nothing there' } },
      { source: 'sim:x', report: { kind: 'found' } },
    ])
  })
})

describe('a replica', () => {
  test('is started by its engine’s command on its port, and told ready with what it serves', async () => {
    const world = await aReadyReplica({ adapters: [{ name: 'pirate', source: 'sim:pirate' }] })
    const process = world.machine.at(PORT)
    expect(process?.ask.command.file).toBe('yard')
    expect(process?.ask.inherited).toEqual({ PATH: '/bin' })
    expect(world.control.status()).toMatchObject({
      phase: 'ready',
      planVersion: 1,
      restarts: 0,
      pid: process?.id.pid,
      adapters: ['pirate'],
    })
  })

  test('tells how far its start is', async () => {
    const world = anAgentWorld()
    world.machine.answer = () => ({ kind: 'refused' })
    world.control.want([anAssignment()])
    await world.until(() => world.control.status()?.phase === 'starting')
    world.machine.logLines
      .get(REPLICA)
      ?.push('Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01]')
    await world.until(() => world.control.status()?.progress !== undefined)
    expect(world.control.status()).toMatchObject({ message: 'loading weights: shard 2 of 4' })
  })

  test('that ends is started again after a pause', async () => {
    const world = await aReadyReplica()
    world.machine.at(PORT)?.end({ code: 1 })
    await world.clock.advance(500)
    expect(world.machine.living).toHaveLength(0)
    expect(world.control.status()).toMatchObject({ phase: 'starting', restarts: 1 })
    await world.until(() => world.control.status()?.phase === 'ready')
    expect(world.control.status()).toMatchObject({ restarts: 1 })
    expect(world.control.status()?.failure).toBeUndefined()
  })

  test('that ends each time is given up after so many starts, with its reason', async () => {
    const world = anAgentWorld()
    world.machine.onSpawn = (process) => process.end({ code: 1 })
    world.control.want([anAssignment()])
    await world.until(() => world.control.status()?.phase === 'failed')
    expect(world.machine.processes).toHaveLength(6)
    expect(world.control.status()?.failure).toMatchObject({
      reason: 'exited',
      message: expect.stringContaining('given up after 5 restarts'),
    })
    await world.clock.advance(3_600_000)
    expect(world.machine.processes).toHaveLength(6)
  })

  test('whose start can’t succeed is not started again', async () => {
    const world = anAgentWorld()
    world.machine.onSpawn = (process) => {
      world.machine.logLines.get(REPLICA)?.push('vllm serve: error: unrecognized arguments: --x')
      process.end({ code: 2 })
    }
    world.control.want([anAssignment()])
    await world.until(() => world.control.status()?.phase === 'failed')
    expect(world.machine.processes).toHaveLength(1)
    expect(world.control.status()?.failure).toMatchObject({ reason: 'bad_argument', retryable: false })
    expect(world.control.status()?.failure?.lastLines.at(-1)).toContain('unrecognized arguments')
  })

  test('that had been ready is started again also after running out of memory', async () => {
    const world = await aReadyReplica()
    world.machine.logLines
      .get(REPLICA)
      ?.push('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB')
    world.machine.at(PORT)?.end({ code: 1 })
    await world.until(() => world.machine.processes.length === 2)
  })

  test('that the kernel killed for memory says so', async () => {
    const world = await aReadyReplica()
    world.machine.memoryKills = 1
    world.machine.at(PORT)?.end({ signal: 'SIGKILL' })
    await world.until(() => world.control.status()?.failure !== undefined)
    expect(world.control.status()?.failure?.reason).toBe('out_of_host_memory')
  })

  test('whose program is missing says so', async () => {
    const world = anAgentWorld()
    world.machine.spawnFailure = 'there is no program'
    world.control.want([anAssignment()])
    await world.until(() => world.control.status()?.phase === 'failed')
    expect(world.control.status()?.failure?.reason).toBe('program_missing')
  })

  test('that does not answer is unhealthy, then ended and started again as hung', async () => {
    const world = await aReadyReplica()
    const process = world.machine.at(PORT)
    if (process) process.answer = () => ({ kind: 'timeout' })
    await world.until(() => world.control.status()?.phase === 'unhealthy')
    await world.until(() => world.control.status()?.failure?.reason === 'hung')
    expect(process?.signals).toContain('SIGKILL')
    await world.until(() => world.control.status()?.phase === 'ready')
  })

  test('that answers again in time is healthy again', async () => {
    const world = await aReadyReplica()
    const process = world.machine.at(PORT)
    if (process) process.answer = () => ({ kind: 'timeout' })
    await world.until(() => world.control.status()?.phase === 'unhealthy')
    if (process) process.answer = HEALTHY
    await world.until(() => world.control.status()?.phase === 'ready')
    expect(world.machine.processes).toHaveLength(1)
  })

  test('that is not ready in time is stopped and failed; progress buys it time', async () => {
    const world = anAgentWorld()
    world.machine.answer = () => ({ kind: 'refused' })
    world.control.want([anAssignment({ startTimeoutMs: 60_000 })])
    await world.until(() => world.control.status()?.phase === 'starting')
    await world.clock.advance(50_000)
    world.machine.logLines.get(REPLICA)?.push('Loading safetensors checkpoint shards:  50% Completed | 2/4')
    await world.clock.advance(50_000)
    expect(world.control.status()?.phase).toBe('starting')
    await world.clock.advance(30_000)
    expect(world.control.status()).toMatchObject({ phase: 'failed', failure: { reason: 'start_timeout' } })
    expect(world.machine.living).toHaveLength(0)
  })

  test('that leaves workers behind has them ended before it is started again', async () => {
    const world = await aReadyReplica()
    const process = world.machine.at(PORT)
    if (process) process.orphans = 2
    process?.end({ signal: 'SIGSEGV' })
    await world.until(() => world.machine.processes.length === 2)
    expect(process?.orphans).toBe(0)
  })

  test.each([
    ['a port that somebody else has', { port: 20_001 }, 'port_in_use'],
    ['a device that is gone', { deviceIds: ['GPU-gone'] }, 'device_missing'],
    ['a device that is sick', { deviceIds: ['GPU-sick'] }, 'device_fault'],
    ['a model that is not there', { source: 'sim:none' }, 'missing_file'],
    ['a broken model', { source: 'sim:broken' }, 'invalid_model'],
    ['an adapter in a model’s place', { source: 'sim:lora' }, 'invalid_model'],
    ['an argument that is not allowed', { engineArgs: { 'trust-remote-code': true } }, 'bad_argument'],
    [
      'a program, where programs are not allowed',
      { engine: 'command', source: 'command:/bin/sh' },
      'not_allowed',
    ],
  ] as [string, Partial<Assignment>, string][])('with %s is not started', async (_what, more, reason) => {
    const world = anAgentWorld()
    const { machine } = world
    machine.takenPorts.add(20_001)
    machine.devices.push({
      id: 'GPU-sick',
      kind: 'cuda',
      model: 'T4',
      memoryBytes: 1,
      healthy: false,
      problem: 'lost',
    })
    machine.models['sim:none'] = { kind: 'missing', message: 'nothing there' }
    machine.models['sim:broken'] = { kind: 'invalid', reason: 'truncated', message: 'cut off' }
    machine.models['sim:lora'] = {
      kind: 'located',
      modelRef: '/lora',
      facts: { isAdapter: true } as never,
    }
    world.control.want([anAssignment(more)])
    await world.until(() => world.control.status()?.failure !== undefined)
    expect(world.control.status()?.failure?.reason).toBe(reason)
    expect(machine.processes).toHaveLength(0)
  })

  test('waits for the first reading of the devices, and for a driver that is not up yet', async () => {
    const gpu = { id: 'GPU-1', kind: 'cuda' as const, model: 'T4', memoryBytes: 16e9, healthy: true }
    let answer: ProbeReading = { kind: 'failed', problem: 'the driver is not loaded' }
    let first: () => void = () => {}
    const reading = new Promise<void>((resolve) => {
      first = resolve
    })
    const world = anAgentWorld({
      probes: [{ name: 'nvidia-smi', read: async () => reading.then(() => answer) }],
    })
    world.control.want([anAssignment({ deviceIds: ['GPU-1'] })])
    await world.clock.advance(5_000)
    expect(world.control.status()?.failure).toBeUndefined()
    first()
    await world.until(() => world.control.status()?.failure !== undefined)
    expect(world.control.status()).toMatchObject({
      phase: 'starting',
      failure: { reason: 'device_missing', message: expect.stringContaining('the driver is not loaded') },
    })
    answer = { kind: 'devices', devices: [gpu] }
    await world.until(() => world.control.status()?.phase === 'ready')
  })

  test('is not stopped or started by a server that lags, but by one whose store was set back', async () => {
    const world = await aReadyReplica()
    world.control.lagging = { revision: 1, assignments: [] }
    world.control.want([anAssignment()])
    await world.clock.advance(50_000)
    expect(world.machine.living).toHaveLength(1)
    world.control.lagging = undefined
    await world.clock.advance(10_000)
    world.control.lagging = { revision: 1, assignments: [] }
    world.control.want([anAssignment()])
    await world.clock.advance(50_000)
    expect(world.machine.living).toHaveLength(1)
    await world.until(() => world.machine.living.length === 0, 30_000)
  })

  test('is not started when that can’t be remembered', async () => {
    const world = anAgentWorld()
    await world.until(() => world.control.beats.length > 0)
    world.machine.disk.full = true
    world.control.want([anAssignment()])
    await world.until(() => world.control.status()?.failure !== undefined)
    expect(world.control.status()?.failure?.reason).toBe('not_recorded')
    expect(world.machine.processes).toHaveLength(0)
  })
})

function busy(requests: number) {
  return (call: { path: string }): HttpResult => ({
    kind: 'answer',
    status: 200,
    body:
      call.path === '/metrics' ? `vllm:num_requests_running ${requests}\nvllm:num_requests_waiting 0\n` : '',
  })
}

describe('a stop', () => {
  test('drains first: it is told, waits for the requests in flight, then stops, then is forgotten', async () => {
    const world = await aReadyReplica()
    const process = world.machine.at(PORT)
    if (process) process.answer = busy(2)
    world.control.want([anAssignment({ desired: 'stop' })])
    await world.until(() => world.control.status()?.phase === 'draining')
    await world.clock.advance(30_000)
    expect(process?.alive).toBe(true)
    if (process) process.answer = busy(0)
    await world.until(() => world.control.status()?.phase === 'stopped')
    expect(process?.signals).toEqual(['SIGTERM'])
    world.control.want([])
    await world.until(() => world.machine.disk.saved.size === 0)
    await world.until(() => world.control.beats.at(-1)?.replicas.length === 0)
  })

  test('leaves gateways time to hear of it, even when the engine is idle', async () => {
    const world = await aReadyReplica()
    world.control.want([anAssignment({ desired: 'stop' })])
    await world.until(() => world.control.status()?.phase === 'draining')
    await world.clock.advance(4_000)
    expect(world.machine.living).toHaveLength(1)
    await world.until(() => world.control.status()?.phase === 'stopped', 10_000)
  })

  test('does not wait longer than its drain timeout', async () => {
    const world = await aReadyReplica()
    const process = world.machine.at(PORT)
    if (process) process.answer = busy(2)
    world.control.want([anAssignment({ desired: 'stop', drainTimeoutMs: 20_000 })])
    await world.until(() => world.control.status()?.phase === 'stopped', 30_000)
  })

  test('of an engine that heeds no signal ends with SIGKILL, and workers are ended too', async () => {
    const world = await aReadyReplica({ drainTimeoutMs: 0 })
    const process = world.machine.at(PORT)
    process?.ignores.push('SIGTERM')
    if (process) process.orphans = 1
    world.control.want([anAssignment({ desired: 'stop', drainTimeoutMs: 0 })])
    await world.until(() => world.control.status()?.phase === 'stopped')
    expect(process?.signals).toEqual(['SIGTERM', 'SIGKILL'])
  })

  test('is not told done while a process can’t be ended', async () => {
    const world = await aReadyReplica({ drainTimeoutMs: 0 })
    const process = world.machine.at(PORT)
    process?.ignores.push('SIGTERM', 'SIGKILL')
    world.control.want([anAssignment({ desired: 'stop', drainTimeoutMs: 0 })])
    await world.clock.advance(120_000)
    expect(world.control.status()).toMatchObject({
      phase: 'draining',
      message: expect.stringContaining('does not end'),
    })
    if (process) process.ignores = []
    await world.until(() => world.control.status()?.phase === 'stopped')
  })

  test('during the start waits for nothing and leaves nothing', async () => {
    const world = anAgentWorld()
    world.machine.answer = () => ({ kind: 'refused' })
    world.control.want([anAssignment()])
    await world.until(() => world.machine.living.length === 1)
    world.control.want([anAssignment({ desired: 'stop' })])
    await world.until(() => world.control.status()?.phase === 'stopped')
    expect(world.machine.living).toHaveLength(0)
  })

  test('of all engines at once, for an agent whose end is theirs too', async () => {
    const world = await aReadyReplica()
    const stopped = world.agent.stopAll()
    await world.clock.advance(10_000)
    await stopped
    expect(world.machine.living).toHaveLength(0)
    expect(world.machine.disk.saved.size).toBe(0)
  })
})

describe('without control', () => {
  test('engines go on, and those that end are started again', async () => {
    const world = await aReadyReplica()
    world.control.away = true
    await world.clock.advance(3_600_000)
    expect(world.machine.living).toHaveLength(1)
    world.machine.at(PORT)?.end({ code: 1 })
    await world.clock.advance(30_000)
    expect(world.machine.living).toHaveLength(1)
    world.control.away = false
    const before = world.control.beats.length
    await world.until(() => world.control.beats.length > before, 60_000)
    expect(world.control.status()).toMatchObject({ phase: 'ready', restarts: 1 })
  })

  test('an agent that starts anew stops nothing', async () => {
    const world = await aReadyReplica()
    await world.stopAgent()
    world.control.away = true
    world.startAgent()
    await world.clock.advance(3_600_000)
    expect(world.machine.processes).toHaveLength(1)
    expect(world.machine.living).toHaveLength(1)
  })

  test('what is no longer wanted goes once control has said so', async () => {
    const world = await aReadyReplica()
    await world.stopAgent()
    world.control.want([])
    world.startAgent()
    await world.until(() => world.machine.living.length === 0 && world.machine.disk.saved.size === 0)
  })
})

describe('an agent that comes after another', () => {
  test('adopts the engine: same process, never not ready, and sees its end', async () => {
    const world = await aReadyReplica()
    const before = world.control.beats.length
    await world.stopAgent()
    world.startAgent()
    await world.until(() => world.control.beats.length > before + 2)
    for (const beat of world.control.beats.slice(before)) expect(beat.replicas[0]?.phase).toBe('ready')
    expect(world.machine.processes).toHaveLength(1)
    world.machine.at(PORT)?.end({ code: 1 })
    await world.until(() => world.machine.processes.length === 2 && world.control.status()?.phase === 'ready')
  })

  test('starts again what ended while nobody watched', async () => {
    const world = await aReadyReplica()
    world.crashAgent()
    world.machine.at(PORT)?.end({ code: 1 })
    world.startAgent()
    await world.until(() => world.machine.living.length === 1 && world.control.status()?.phase === 'ready')
    expect(world.control.status()?.restarts).toBe(1)
  })

  test('ends workers that their engine left behind meanwhile', async () => {
    const world = await aReadyReplica()
    world.crashAgent()
    const process = world.machine.at(PORT)
    if (process) process.orphans = 3
    process?.end({ code: 1 })
    world.startAgent()
    await world.until(() => world.machine.living.length === 1)
    expect(process?.orphans).toBe(0)
  })

  test('starts everything again after the machine was restarted', async () => {
    const world = await aReadyReplica()
    world.crashAgent()
    for (const process of world.machine.living) process.alive = false
    world.machine.bootId = 'boot-2'
    world.startAgent()
    await world.until(() => world.control.status()?.failure?.reason === 'node_restarted')
    await world.until(() => world.control.status()?.phase === 'ready')
  })

  test('does not leave running what is wanted no more by the time that it has been started again', async () => {
    const world = anAgentWorld()
    const { clock, control, machine } = world
    control.want([anAssignment()])
    await world.until(() => control.status()?.phase === 'ready')
    world.crashAgent()
    machine.living[0]!.end({})
    machine.bootId = 'boot-2'
    control.want([])
    const later = async <Result>(delayMs: number, work: () => Promise<Result>) => {
      await clock.sleep(delayMs)
      return work()
    }
    const spawn = (ask: SpawnAsk) => later(50, () => machine.spawner.spawn(ask))
    world.startAgent({
      control: { fetch: (request) => later(8, () => control.fetch(request)), baseUrl: 'http://control' },
      spawner: { ...machine.spawner, spawn },
    })
    await clock.advance(20_000)
    expect(machine.living).toEqual([])
    expect(control.beats.at(-1)?.replicas).toEqual([])
  })

  test('goes on with a drain and with a stop', async () => {
    for (const crashAt of ['draining', 'stopping']) {
      const world = await aReadyReplica()
      const process = world.machine.at(PORT)
      process?.ignores.push('SIGTERM')
      world.control.want([anAssignment({ desired: 'stop', drainTimeoutMs: 10_000 })])
      await world.until(() => world.machine.disk.saved.get(REPLICA)?.phase === crashAt)
      world.crashAgent()
      world.startAgent()
      await world.until(() => world.control.status()?.phase === 'stopped')
      expect(world.machine.living).toHaveLength(0)
    }
  })

  test('keeps an engine whose record is lost, if control wants it, and ends it if not, but not before it knows', async () => {
    for (const wanted of [true, false]) {
      const world = await aReadyReplica()
      world.crashAgent()
      world.machine.disk.saved.clear()
      world.control.away = true
      world.startAgent()
      await world.clock.advance(60_000)
      expect(world.machine.living).toHaveLength(1)
      world.control.want(wanted ? [anAssignment()] : [])
      world.control.away = false
      if (wanted) await world.until(() => world.control.status()?.phase === 'ready')
      else await world.until(() => world.machine.living.length === 0)
      expect(world.machine.processes).toHaveLength(1)
    }
  })

  test('neither loses nor doubles an engine, wherever the one before it crashed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 25 }), { minLength: 1, maxLength: 4 }),
        async (crashes) => {
          const world = anAgentWorld()
          world.crashAgent()
          let mostAlive = 0
          world.machine.onSpawn = () => {
            mostAlive = Math.max(mostAlive, world.machine.living.length)
          }
          world.control.want([anAssignment()])
          for (const crashAfter of crashes) {
            world.startAgent({}, crashAfter)
            await world.clock.advance(10_000)
            world.crashAgent()
          }
          world.startAgent()
          await world.until(() => world.control.status()?.phase === 'ready')
          expect(world.machine.living).toHaveLength(1)
          // Nor does any agent end what another has started.
          expect(world.machine.processes.map((process) => process.signals)).toEqual([[]])
          world.control.want([anAssignment({ desired: 'stop', drainTimeoutMs: 1_000 })])
          for (const crashAfter of crashes) {
            world.crashAgent()
            world.startAgent({}, crashAfter)
            await world.clock.advance(10_000)
          }
          world.crashAgent()
          world.startAgent()
          await world.until(() => world.control.status()?.phase === 'stopped')
          expect(world.machine.living).toHaveLength(0)
          expect(mostAlive).toBe(1)
          world.crashAgent()
        },
      ),
      { numRuns: 60 },
    )
  })

  test('comes to what is wanted through any sequence of mishaps, and never runs two of one replica', async () => {
    const names = ['m-1-a', 'm-1-b', 'm-1-c']
    const mishap = fc.oneof(
      fc.record({ kind: fc.constant('want' as const), run: fc.subarray(names), stop: fc.subarray(names) }),
      fc.record({ kind: fc.constant('end' as const), at: fc.nat(5), code: fc.constantFrom(0, 1, 139) }),
      fc.record({ kind: fc.constant('hang' as const), at: fc.nat(5) }),
      fc.record({ kind: fc.constant('crash' as const), after: fc.nat(20) }),
      fc.record({ kind: fc.constant('away' as const), away: fc.boolean() }),
      fc.record({ kind: fc.constant('full' as const), full: fc.boolean() }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(mishap, fc.integer({ min: 0, max: 20_000 })), { maxLength: 14 }),
        async (story) => {
          const world = anAgentWorld()
          const { machine, control } = world
          let doubles = 0
          machine.onSpawn = ({ ask: { replica } }) => {
            if (machine.living.filter(({ ask }) => ask.replica === replica).length > 1) doubles++
          }
          const gone = new Set<string>()
          for (const [event, waitMs] of story) {
            if (event.kind === 'want') {
              // As control does it: a replica that was to stop is never wanted again, and stays until it has.
              for (const name of event.stop) gone.add(name)
              control.want([
                ...event.run
                  .filter((name) => !gone.has(name))
                  .map((replica) => anAssignment({ replica, port: PORT + names.indexOf(replica) })),
                ...event.stop.map((replica) =>
                  anAssignment({ replica, desired: 'stop', port: PORT + names.indexOf(replica) }),
                ),
              ])
            }
            if (event.kind === 'end') machine.living[event.at]?.end({ code: event.code })
            const hung = event.kind === 'hang' ? machine.living[event.at] : undefined
            if (hung) hung.answer = () => ({ kind: 'timeout' })
            if (event.kind === 'crash') {
              world.crashAgent()
              world.startAgent({}, event.after)
            }
            if (event.kind === 'away') control.away = event.away
            if (event.kind === 'full') machine.disk.full = event.full
            await world.clock.advance(waitMs)
          }
          control.away = false
          machine.disk.full = false
          world.crashAgent()
          world.startAgent()
          const final = names.filter((name) => !gone.has(name))
          control.want(final.map((replica) => anAssignment({ replica, port: PORT + names.indexOf(replica) })))
          await world.until(
            () =>
              machine.living.length ===
                final.filter((name) => control.status(name)?.phase !== 'failed').length &&
              final.every((name) => ['ready', 'failed'].includes(control.status(name)?.phase ?? '')) &&
              machine.disk.saved.size === final.length,
            3_600_000,
          )
          expect(doubles).toBe(0)
          world.crashAgent()
        },
      ),
      { numRuns: 60 },
    )
  })
})
