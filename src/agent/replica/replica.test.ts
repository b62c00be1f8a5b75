import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../base/fake-clock.ts'
import type { HttpCall, HttpResult } from '../../engines/engine.ts'
import { engineOf } from '../../engines/registry.ts'
import { anAssignment } from '../agent.testing.ts'
import { failureFor, judgedFailure } from './failures.ts'
import { countInFlight } from './in-flight.ts'
import { loadAdapters } from './runtime-adapters.ts'

const forever = new AbortController().signal
const sim = engineOf('sim')
const ok: HttpResult = { kind: 'answer', status: 200, body: 'Success' }
const pirate = { name: 'pirate', path: '/models/pirate' }
const launch = { adapters: [pirate], port: 20_000, credential: 'c' }

describe('adapters of a ready engine', () => {
  test('that its command line named are there already', async () => {
    const deps = {
      http: () => Promise.reject(new Error('no call is needed')),
      clock: new FakeClock(),
      signal: forever,
    }
    for (const word of ['--lora=/models/pirate', '{"name":"pirate","path":"/models/pirate"}']) {
      expect(await loadAdapters(deps, sim, launch, { argv: ['serve', word] })).toEqual({ loaded: ['pirate'] })
    }
  })

  test('are loaded by a call otherwise, which is made again when it fails', async () => {
    const calls: HttpCall[] = []
    const clock = new FakeClock()
    const http = async (_engine: unknown, call: HttpCall): Promise<HttpResult> => {
      calls.push(call)
      return calls.length === 1 ? { kind: 'timeout' } : ok
    }
    const result = loadAdapters({ http, clock, signal: forever }, sim, launch, { argv: [] })
    await clock.advance(10_000)
    expect(await result).toEqual({ loaded: ['pirate'] })
    expect(calls).toMatchObject([
      { path: '/v1/load_lora_adapter', body: { lora_name: 'pirate', lora_path: '/models/pirate' } },
      { path: '/v1/load_lora_adapter' },
    ])
  })

  test('that can’t be loaded are left out and said, the others serve', async () => {
    const clock = new FakeClock()
    const http = async (_engine: unknown, call: HttpCall): Promise<HttpResult> =>
      JSON.stringify(call.body).includes('pirate')
        ? { kind: 'answer', status: 400, body: '{"error":{"message":"rank 512 is too high"}}' }
        : ok
    const both = { ...launch, adapters: [pirate, { name: 'poet', path: '/models/poet' }] }
    const result = loadAdapters({ http, clock, signal: forever }, sim, both, { argv: [] })
    await clock.advance(10_000)
    expect(await result).toEqual({
      loaded: ['poet'],
      problem: expect.stringMatching(/^adapter pirate is not loaded: .*rank 512 is too high/),
    })
  })
})

describe('what an engine still serves', () => {
  const metrics = (body: string) => async (): Promise<HttpResult> => ({ kind: 'answer', status: 200, body })
  const count = (http: () => Promise<HttpResult>, proxied: number, open: number | undefined) =>
    countInFlight(
      {
        http,
        proxied: () => proxied,
        ports: { connections: async () => open, isFree: async () => true, listening: async () => new Set() },
      },
      sim,
      anAssignment(),
      forever,
    )

  test('is what its metrics say, waiting requests counted in', async () => {
    expect(await count(metrics('vllm:num_requests_running 2\nvllm:num_requests_waiting 3\n'), 0, 9)).toBe(5)
    expect(await count(metrics('vllm:num_requests_running 0\n'), 0, 9)).toBe(0)
  })

  test('is never less than what passes through the proxy', async () => {
    expect(await count(metrics('vllm:num_requests_running 0\n'), 2, 0)).toBe(2)
  })

  test('is none when it tells nothing and nobody is connected, and unknown when somebody is', async () => {
    const silent = async (): Promise<HttpResult> => ({ kind: 'timeout' })
    expect(await count(silent, 0, 0)).toBe(0)
    expect(await count(silent, 0, 1)).toBeUndefined()
    expect(await count(silent, 0, undefined)).toBeUndefined()
    expect(await count(metrics('something_else 1\n'), 1, 4)).toBe(1)
  })
})

describe('a failure', () => {
  test('of an engine that had been ready may pass, unless its device is to blame', () => {
    const seen = { memoryKills: 0, wasReady: true }
    expect(judgedFailure(failureFor('out_of_memory', 'x'), seen).retryable).toBe(true)
    expect(judgedFailure(failureFor('device_fault', 'x'), seen).retryable).toBe(false)
    expect(judgedFailure(failureFor('out_of_memory', 'x'), { ...seen, wasReady: false }).retryable).toBe(
      false,
    )
  })

  test('by a kill is the kernel’s only when the kernel has killed', () => {
    const killed = { ...failureFor('killed', 'x'), signal: 'SIGKILL' }
    const seen = { memoryKills: 0, wasReady: false }
    expect(judgedFailure(killed, seen).reason).toBe('killed')
    expect(judgedFailure(killed, { ...seen, memoryKills: 1 }).reason).toBe('out_of_host_memory')
  })

  test('keeps at most thirty lines, without secrets', () => {
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index} api_key=sk-123`)
    const { lastLines } = failureFor('hung', 'x', lines)
    expect(lastLines).toHaveLength(30)
    expect(lastLines.join()).not.toContain('sk-123')
  })
})
