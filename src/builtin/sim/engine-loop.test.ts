import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../base/fake-clock.ts'
import type { SimCoreOptions } from './core-options.ts'
import { createEngineLoop } from './engine-loop.ts'
import { createSimCore } from './sim-core.ts'
import type { SimEvent, SimFinished } from './sim-request.ts'

const OPTIONS: SimCoreOptions = {
  model: 'm',
  numBlocks: 1000,
  blockSize: 16,
  maxNumSeqs: 64,
  maxNumBatchedTokens: 8192,
  maxModelLen: 1000,
  maxQueuedRequests: 100,
  maxAdapters: 1,
  prefixCaching: true,
  stepMs: () => 10,
  speed: 1,
  jitter: 0,
  seed: 1,
}

function aLoop(overrides: Partial<SimCoreOptions> = {}) {
  const clock = new FakeClock()
  const events: SimEvent[] = []
  const core = createSimCore({ ...OPTIONS, ...overrides })
  const loop = createEngineLoop(core, clock, (event) => events.push(event))
  const heard = { tokens: 0, flushes: 0, ends: [] as SimFinished[] }
  const listener = {
    token: () => {
      heard.tokens++
    },
    ended: (end: SimFinished) => void heard.ends.push(end),
    flush: () => {
      heard.flushes++
    },
  }
  const submit = (id: string, maxTokens = 10) =>
    loop.submit({ id, promptTokens: [1, 2, 3], maxTokens, next: () => ({ token: 1, stop: false }) }, listener)
  return { clock, core, loop, events, heard, submit }
}

describe('the engine loop', () => {
  it('holds one timer for any number of sequences, and none when idle', async () => {
    const { clock, submit, heard } = aLoop()
    for (let n = 0; n < 50; n++) submit(`r${n}`)
    expect(clock.pending).toBe(1)
    await clock.advance(55)
    expect(clock.pending).toBe(1)
    await clock.advance(1000)
    expect(clock.pending).toBe(0)
    expect(heard.ends).toHaveLength(50)
  })

  it('flushes a listener once a turn, however many steps were in it', async () => {
    const { clock, submit, heard } = aLoop({ stepMs: () => 0.01 })
    submit('a', 100)
    await clock.advance(5)
    expect(heard.tokens).toBe(100)
    expect(heard.flushes).toBeLessThan(5)
    expect(heard.ends[0]?.finishedAtMs).toBeCloseTo(1)
  })

  it('puts requests that come at the same time into the same step', async () => {
    const { clock, submit, events } = aLoop()
    submit('a')
    submit('b')
    await clock.advance(5)
    const admitted = events.filter((event) => event.kind === 'admitted')
    expect(admitted.map((event) => event.atMs)).toEqual([0, 0])
  })

  it('after a long pause goes on at its pace instead of catching up', async () => {
    const { core, events } = aLoop()
    let nowMs = 0
    let due: (() => void) | undefined
    const paused = createEngineLoop(
      core,
      {
        now: () => nowMs,
        monotonicMs: () => nowMs,
        after: (_delayMs, run) => {
          due = run
          return { cancel: () => {} }
        },
        sleep: () => Promise.resolve(),
      },
      (event) => events.push(event),
    )
    const ends: SimFinished[] = []
    paused.submit(
      { id: 'a', promptTokens: [1], maxTokens: 50, next: () => ({ token: 1, stop: false }) },
      { token: () => {}, ended: (end) => void ends.push(end), flush: () => {} },
    )
    due?.()
    nowMs = 60_000
    due?.()
    const tokens = events.filter((event) => event.kind === 'token').length
    expect(tokens).toBeGreaterThan(1)
    expect(tokens).toBeLessThan(15)
    expect(ends).toEqual([])
  })

  it('tells an aborted sequence at once and steps no more after stop', async () => {
    const { clock, loop, submit, heard } = aLoop()
    submit('a')
    submit('b')
    await clock.advance(15)
    loop.abort('a')
    expect(heard.ends).toMatchObject([{ id: 'a', reason: 'abort', outputTokens: 1 }])
    loop.stop()
    await clock.advance(1000)
    expect(heard.ends).toHaveLength(1)
    loop.abortAll()
    expect(heard.ends).toHaveLength(2)
    expect(loop.live()).toBe(0)
  })
})
