import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SimCoreOptions } from './core-options.ts'
import { createSimCore, type SimCore } from './sim-core.ts'
import type { SimEvent, SimFinished, SimRequest } from './sim-request.ts'

const OPTIONS: SimCoreOptions = {
  model: 'm',
  numBlocks: 64,
  blockSize: 4,
  maxNumSeqs: 8,
  maxNumBatchedTokens: 32,
  maxModelLen: 128,
  maxQueuedRequests: 100,
  maxAdapters: 1,
  prefixCaching: true,
  stepMs: ({ prefillTokens, decodeSequences }) =>
    0.25 + prefillTokens * 0.01 + (decodeSequences > 0 ? 0.5 : 0),
  speed: 1,
  jitter: 0,
  seed: 1,
}

function core(overrides: Partial<SimCoreOptions> = {}): SimCore {
  return createSimCore({ ...OPTIONS, ...overrides })
}

function aRequest(overrides: Partial<SimRequest> & { id: string }): SimRequest {
  return {
    promptTokens: [1, 2, 3, 4, 5],
    maxTokens: 4,
    next: (index) => ({ token: 1000 + index, stop: false }),
    ...overrides,
  }
}

function tokens(length: number, from = 0): number[] {
  return Array.from({ length }, (_, at) => from + at)
}

/** Runs to the end; stops a run that never ends. */
function drain(sim: SimCore, most = 100_000): SimEvent[] {
  const events: SimEvent[] = []
  for (let steps = 0; sim.nextEventAtMs() !== undefined; steps++) {
    if (steps > most) throw new Error('the core never becomes idle')
    events.push(...sim.step())
  }
  return events
}

function finished(events: readonly SimEvent[]): SimFinished[] {
  return events.filter((event) => event.kind === 'finished')
}

describe('the engine core', () => {
  it('generates one token per step and ends with length at max_tokens', () => {
    const sim = core()
    sim.submit(aRequest({ id: 'a', maxTokens: 3 }), 10)
    const events = drain(sim)
    expect(events.filter((event) => event.kind === 'token').map((event) => event.token)).toEqual([
      1000, 1001, 1002,
    ])
    expect(events.filter((event) => event.kind === 'token').map((event) => event.finish)).toEqual([
      undefined,
      undefined,
      'length',
    ])
    expect(finished(events)).toMatchObject([{ id: 'a', reason: 'length', promptTokens: 5, outputTokens: 3 }])
  })

  it('keeps fractions of a millisecond', () => {
    const sim = core({ stepMs: () => 0.125 })
    sim.submit(aRequest({ id: 'a', maxTokens: 8 }), 0)
    expect(finished(drain(sim))[0]?.finishedAtMs).toBe(1)
  })

  it('divides step time by speed', () => {
    const sim = core({ stepMs: () => 20, speed: 8 })
    sim.submit(aRequest({ id: 'a', maxTokens: 2 }), 0)
    expect(finished(drain(sim))[0]?.finishedAtMs).toBe(5)
  })

  it('ends with stop when the model stops', () => {
    const sim = core()
    sim.submit(
      aRequest({ id: 'a', maxTokens: 50, next: (index) => ({ token: index, stop: index === 1 }) }),
      0,
    )
    expect(finished(drain(sim))).toMatchObject([{ reason: 'stop', outputTokens: 2 }])
  })

  it('ends with length at the model length', () => {
    const sim = core({ maxModelLen: 16 })
    sim.submit(aRequest({ id: 'a', promptTokens: tokens(10), maxTokens: 100 }), 0)
    expect(finished(drain(sim))).toMatchObject([{ reason: 'length', outputTokens: 6 }])
  })

  it('computes a long prompt in chunks while others decode', () => {
    const sim = core({ maxNumBatchedTokens: 16 })
    sim.submit(aRequest({ id: 'short', maxTokens: 20 }), 0)
    sim.step()
    sim.step()
    sim.submit(aRequest({ id: 'long', promptTokens: tokens(60, 500), maxTokens: 1 }), 0)
    const events = drain(sim)
    const steps = events.filter((event) => event.kind === 'stepped')
    expect(Math.max(...steps.map((step) => step.prefillTokens))).toBe(15)
    const firstOfLong = events.findIndex((event) => event.kind === 'token' && event.id === 'long')
    const decodedMeanwhile = events
      .slice(0, firstOfLong)
      .filter((event) => event.kind === 'token' && event.id === 'short')
    expect(decodedMeanwhile.length).toBeGreaterThanOrEqual(4)
  })

  it('finds the prefix of an earlier prompt, in whole blocks', () => {
    const sim = core()
    sim.submit(aRequest({ id: 'a', promptTokens: tokens(18) }), 0)
    drain(sim)
    sim.submit(aRequest({ id: 'b', promptTokens: [...tokens(10), 99, ...tokens(7, 11)] }), 100)
    expect(finished(drain(sim))[0]?.cachedTokens).toBe(8)
  })

  it('never takes a whole prompt from the cache', () => {
    const sim = core()
    sim.submit(aRequest({ id: 'a', promptTokens: tokens(16) }), 0)
    drain(sim)
    sim.submit(aRequest({ id: 'b', promptTokens: tokens(16) }), 100)
    expect(finished(drain(sim))[0]?.cachedTokens).toBe(12)
  })

  it('takes nothing after a gap, even when later blocks are still there', () => {
    const sim = core({ numBlocks: 8, maxModelLen: 32 })
    // Both compute the first block; the short one names it, lets go of it first, and it is evicted first.
    sim.submit(aRequest({ id: 'short', promptTokens: tokens(5), maxTokens: 1 }), 0)
    sim.submit(aRequest({ id: 'long', promptTokens: tokens(13), maxTokens: 3 }), 0)
    drain(sim)
    sim.submit(aRequest({ id: 'other', promptTokens: tokens(24, 500), maxTokens: 1 }), 100)
    drain(sim)
    sim.submit(aRequest({ id: 'again', promptTokens: tokens(13), maxTokens: 1 }), 200)
    expect(finished(drain(sim))[0]?.cachedTokens).toBe(0)
  })

  it('finds generated tokens again in the next turn', () => {
    const sim = core()
    sim.submit(aRequest({ id: 'a', promptTokens: tokens(6), maxTokens: 7 }), 0)
    drain(sim)
    const secondTurn = [...tokens(6), ...tokens(7, 1000), 5, 6, 7]
    sim.submit(aRequest({ id: 'b', promptTokens: secondTurn }), 100)
    expect(finished(drain(sim))[0]?.cachedTokens).toBe(12)
  })

  it('shares nothing between adapters, salts and the base model', () => {
    const sim = core({ maxAdapters: 2 })
    sim.submit(aRequest({ id: 'base', promptTokens: tokens(18) }), 0)
    drain(sim)
    sim.submit(aRequest({ id: 'x', promptTokens: tokens(18), adapter: 'x' }), 100)
    sim.submit(aRequest({ id: 'y', promptTokens: tokens(18), adapter: 'y' }), 100)
    sim.submit(aRequest({ id: 'salted', promptTokens: tokens(18), cacheSalt: 's' }), 100)
    expect(finished(drain(sim)).map((end) => end.cachedTokens)).toEqual([0, 0, 0])
  })

  it('caches nothing when prefix caching is off', () => {
    const sim = core({ prefixCaching: false })
    for (const id of ['a', 'b']) {
      sim.submit(aRequest({ id, promptTokens: tokens(18) }), 0)
      expect(finished(drain(sim))[0]?.cachedTokens).toBe(0)
    }
  })

  it('preempts the youngest when the cache is full, and still finishes all with the same tokens', () => {
    const sim = core({ numBlocks: 16, maxModelLen: 64 })
    for (const id of ['old', 'young'])
      sim.submit(aRequest({ id, promptTokens: tokens(14, id.length * 100), maxTokens: 40 }), 0)
    const events = drain(sim)
    const preempted = events.filter((event) => event.kind === 'preempted').map((event) => event.id)
    expect(new Set(preempted)).toEqual(new Set(['young']))
    const young = events.filter((event) => event.kind === 'token' && event.id === 'young')
    expect(young.map((event) => event.kind === 'token' && event.token)).toEqual(tokens(40, 1000))
    const recomputed = events.reduce(
      (sum, event) => sum + (event.kind === 'stepped' ? event.recomputedTokens : 0),
      0,
    )
    expect(recomputed).toBeGreaterThan(0)
    expect(sim.stats().kvUsage).toBe(0)
  })

  it('brings back what it preempted before it admits what came later', () => {
    const sim = core({ numBlocks: 16, maxModelLen: 64, maxNumSeqs: 2 })
    for (const [at, id] of ['old', 'young', 'later'].entries())
      sim.submit(aRequest({ id, promptTokens: tokens(14, at * 100), maxTokens: 40 }), at)
    const events = drain(sim)
    expect(events.some((event) => event.kind === 'preempted' && event.id === 'young')).toBe(true)
    const admitted = events.flatMap((event) => (event.kind === 'admitted' ? event.id : []))
    expect(admitted.indexOf('later')).toBeGreaterThan(admitted.lastIndexOf('young'))
    expect(finished(events).map((end) => end.id)).toEqual(['old', 'young', 'later'])
  })

  it('frees blocks at once on abort, also in the middle of a step', () => {
    const sim = core()
    sim.submit(aRequest({ id: 'a', promptTokens: tokens(30) }), 0)
    sim.step()
    expect(sim.stats().kvUsage).toBeGreaterThan(0)
    expect(sim.abort('a', 0.1)).toMatchObject({ reason: 'abort', outputTokens: 0 })
    expect(sim.stats()).toMatchObject({ kvUsage: 0, running: 0 })
    expect(drain(sim).filter((event) => event.kind === 'token')).toEqual([])
    expect(sim.abort('a', 1)).toBeUndefined()
  })

  it('aborts what still waits', () => {
    const sim = core({ maxNumSeqs: 1 })
    sim.submit(aRequest({ id: 'a' }), 0)
    sim.submit(aRequest({ id: 'b' }), 0)
    sim.step()
    expect(sim.stats()).toMatchObject({ running: 1, waiting: 1 })
    expect(sim.abort('b', 0)).toMatchObject({ reason: 'abort', admittedAtMs: undefined })
    expect(finished(drain(sim)).map((end) => end.id)).toEqual(['a'])
  })

  it('lets a request pass one that waits for a place among the adapters', () => {
    const sim = core({ maxAdapters: 1 })
    sim.submit(aRequest({ id: 'x', adapter: 'x', maxTokens: 10 }), 0)
    sim.submit(aRequest({ id: 'y', adapter: 'y', maxTokens: 1 }), 0)
    sim.submit(aRequest({ id: 'base', maxTokens: 1 }), 0)
    sim.step()
    expect(sim.stats()).toMatchObject({
      running: 2,
      waiting: 1,
      waitingForAdapter: 1,
      runningAdapters: ['x'],
      waitingAdapters: ['y'],
    })
    expect(finished(drain(sim)).map((end) => end.id)).toEqual(['base', 'x', 'y'])
  })

  it('does not start a request before it arrived', () => {
    const sim = core()
    sim.submit(aRequest({ id: 'a', maxTokens: 1 }), 50)
    expect(sim.nextEventAtMs()).toBe(50)
    expect(finished(drain(sim))[0]).toMatchObject({ admittedAtMs: 50 })
  })

  it('rejects what it cannot take, with a reason', () => {
    const sim = core({ maxQueuedRequests: 1 })
    expect(sim.submit(aRequest({ id: 'a', promptTokens: [] }), 0)).toEqual({
      kind: 'rejected',
      reason: 'prompt_empty',
    })
    expect(sim.submit(aRequest({ id: 'a', promptTokens: tokens(128) }), 0)).toEqual({
      kind: 'rejected',
      reason: 'prompt_too_long',
    })
    expect(sim.submit(aRequest({ id: 'a' }), 0)).toEqual({ kind: 'queued' })
    expect(sim.submit(aRequest({ id: 'a' }), 0)).toEqual({ kind: 'rejected', reason: 'id_in_use' })
    expect(sim.submit(aRequest({ id: 'b' }), 0)).toEqual({ kind: 'rejected', reason: 'queue_full' })
  })
})

/** A script of what clients do: prompts made of shared segments, aborts, and steps in between. */
const script = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('submit' as const),
        segments: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 5 }),
        maxTokens: fc.integer({ min: 1, max: 40 }),
        stopAt: fc.integer({ min: 0, max: 60 }),
        adapter: fc.constantFrom(undefined, 'x', 'y'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), which: fc.nat(30) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('step' as const) }) },
  ),
  { maxLength: 60 },
)

const shape = fc.record({
  numBlocks: fc.integer({ min: 32, max: 80 }),
  maxNumSeqs: fc.integer({ min: 1, max: 8 }),
  maxNumBatchedTokens: fc.integer({ min: 8, max: 64 }),
  maxAdapters: fc.integer({ min: 1, max: 2 }),
  prefixCaching: fc.boolean(),
  jitter: fc.constantFrom(0, 0.2),
})

function commonPrefix(one: readonly number[], other: readonly number[]): number {
  const differs = one.findIndex((token, at) => token !== other[at])
  return differs < 0 ? one.length : differs
}

type Script = typeof script extends fc.Arbitrary<infer Moves> ? Moves : never

/** Plays a script and checks the core's numbers after every call. */
function play(options: Partial<SimCoreOptions>, moves: Script) {
  const sim = core({ ...options, maxModelLen: 128, maxQueuedRequests: 20 })
  const ended = new Map<string, SimFinished>()
  const prompts = new Map<string, number[]>()
  const adapters = new Map<string, string | undefined>()
  const trace: SimEvent[] = []
  let nowMs = 0

  const take = (events: readonly SimEvent[]) => {
    for (const event of events) {
      trace.push(event)
      if (event.kind !== 'stepped' && ended.has(event.id)) throw new Error(`${event.kind} after the end`)
      if (event.kind === 'finished') ended.set(event.id, event)
      if (event.kind === 'admitted') {
        expect(event.cachedTokens % OPTIONS.blockSize).toBe(0)
        if (!event.resumed) expect(event.cachedTokens).toBeLessThan(prompts.get(event.id)?.length ?? 0)
      }
    }
    const { kvUsage, running } = sim.stats()
    expect(kvUsage).toBeGreaterThanOrEqual(0)
    expect(kvUsage).toBeLessThanOrEqual(1)
    expect(running).toBeLessThanOrEqual(options.maxNumSeqs ?? 8)
  }
  const step = () => {
    const dueAtMs = sim.nextEventAtMs()
    if (dueAtMs === undefined) return false
    expect(dueAtMs).toBeGreaterThanOrEqual(nowMs)
    nowMs = dueAtMs
    take(sim.step())
    return true
  }

  moves.forEach((move, at) => {
    if (move.kind === 'step') step()
    else if (move.kind === 'abort') {
      const end = sim.abort(`r${move.which}`, nowMs)
      if (end) take([end])
    } else {
      const id = `r${at}`
      const prompt = move.segments.flatMap((segment) => tokens(7, segment * 100))
      const result = sim.submit(
        aRequest({
          id,
          promptTokens: prompt,
          maxTokens: move.maxTokens,
          adapter: move.adapter,
          next: (index) => ({ token: 5000 + index, stop: index === move.stopAt }),
        }),
        nowMs,
      )
      if (result.kind === 'rejected') return
      prompts.set(id, prompt)
      adapters.set(id, move.adapter)
    }
  })
  for (let steps = 0; step(); steps++) if (steps > 20_000) throw new Error('the core never becomes idle')
  return { sim, ended, prompts, adapters, trace }
}

describe('whatever clients do, the engine core', () => {
  it('ends or rejects every request exactly once and leaks no block', () => {
    fc.assert(
      fc.property(shape, script, (options, moves) => {
        const { sim, ended, prompts } = play(options, moves)
        expect([...ended.keys()].sort()).toEqual([...prompts.keys()].sort())
        expect(sim.stats()).toMatchObject({ kvUsage: 0, running: 0, waiting: 0 })
      }),
      { numRuns: 300 },
    )
  })

  it('takes from the prefix cache only what an earlier sequence of the same adapter begins with', () => {
    fc.assert(
      fc.property(shape, script, (options, moves) => {
        const { trace, prompts, adapters } = play(options, moves)
        const texts = new Map<string, number[]>()
        for (const event of trace) {
          if (event.kind === 'token') texts.get(event.id)?.push(event.token)
          if (event.kind !== 'admitted') continue
          const own = texts.get(event.id) ?? [...(prompts.get(event.id) ?? [])]
          const shared = [...texts]
            .filter(([id]) => id !== event.id && adapters.get(id) === adapters.get(event.id))
            .map(([, other]) => commonPrefix(own, other))
          const before = event.resumed ? own.length : 0
          expect(event.cachedTokens).toBeLessThanOrEqual(Math.max(before, ...shared))
          texts.set(event.id, own)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('gives the same trace for the same seed', () => {
    fc.assert(
      fc.property(shape, script, (options, moves) => {
        expect(play(options, moves).trace).toEqual(play(options, moves).trace)
      }),
      { numRuns: 50 },
    )
  })

  it('counts tokens as they were asked for', () => {
    fc.assert(
      fc.property(shape, script, (options, moves) => {
        const { ended, prompts, trace } = play(options, moves)
        for (const [id, end] of ended) {
          const seen = trace.flatMap((event) =>
            event.kind === 'token' && event.id === id ? event.index : [],
          )
          expect(seen).toEqual(tokens(seen.length))
          expect(end.outputTokens).toBe(seen.length)
          expect(end.promptTokens).toBe(prompts.get(id)?.length)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('is within the cache again after any run: a full-length request fits alone', () => {
    fc.assert(
      fc.property(shape, script, (options, moves) => {
        const { sim } = play(options, moves)
        const last = aRequest({ id: 'last', promptTokens: tokens(100, 9000), maxTokens: 28 })
        expect(sim.submit(last, 1e6)).toEqual({ kind: 'queued' })
        expect(finished(drain(sim))).toMatchObject([{ id: 'last', outputTokens: 28, preemptions: 0 }])
      }),
      { numRuns: 100 },
    )
  })
})
