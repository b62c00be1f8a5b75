import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../base/fake-clock.ts'
import { type ChoiceContext, writeChoice } from './choice.ts'
import type { Generation } from './generate.ts'
import { Metrics } from './metrics.ts'
import { FEED_TOKENS, type Sequence } from './runtime.ts'
import { SlotPool, Waiting } from './slots.ts'

/** Says the letters of a text, one a token, and remembers what was done to it. */
class ScriptedSequence implements Sequence {
  readonly calls: string[] = []
  held = 0
  readonly #text: string
  readonly #fault: 'feed' | 'next' | 'renew' | undefined

  constructor(text: string, fault?: 'feed' | 'next' | 'renew') {
    this.#text = text
    this.#fault = fault
  }

  sharedWith(): number {
    return 0
  }

  keep(tokens: readonly number[]): Promise<number> {
    this.calls.push(`keep ${tokens.length}`)
    return Promise.resolve(0)
  }

  feed(tokens: readonly number[]): Promise<void> {
    this.calls.push(`feed ${tokens.length}`)
    return this.#fault === 'feed' ? Promise.reject(new Error('decode failed')) : Promise.resolve()
  }

  async *next(tokens: readonly number[]): AsyncGenerator<number, void, void> {
    this.calls.push(`next ${tokens.length}`)
    try {
      for (const letter of this.#text) yield letter.charCodeAt(0)
      if (this.#fault !== undefined) throw new Error('decode failed')
      for (;;) yield 0
    } finally {
      this.calls.push('ended')
    }
  }

  renew(): Promise<void> {
    this.calls.push('renew')
    return this.#fault === 'renew' ? Promise.reject(new Error('no memory')) : Promise.resolve()
  }
}

function setUp(sequence: ScriptedSequence) {
  const clock = new FakeClock()
  const faults: unknown[] = []
  const pool = new SlotPool<Sequence>([sequence], { waiting: new Waiting(1), clock, waitLimitMs: 1000 })
  const context: ChoiceContext = {
    model: {
      detokenize: (tokens) => String.fromCharCode(...tokens.filter((token) => token > 0)),
      isEnd: (token) => token === 0,
    },
    pool,
    clock,
    metrics: new Metrics(),
    arrivedMs: clock.monotonicMs(),
    onFault: (error) => faults.push(error),
  }
  return { context, pool, faults }
}

function generation(promptTokens: number): Generation {
  return {
    prompt: new Array<number>(promptTokens).fill(65),
    maxTokens: 100,
    stop: [],
    sampling: {
      temperature: 0,
      topP: 1,
      topK: 0,
      minP: 0,
      frequencyPenalty: 0,
      presencePenalty: 0,
      seed: 1,
    },
    ignoreEnd: false,
    reusePrefix: true,
  }
}

describe('a choice', () => {
  it('is written on a sequence that is given back', async () => {
    const sequence = new ScriptedSequence('yard')
    const { context, pool } = setUp(sequence)
    let text = ''
    const result = await writeChoice(context, generation(3), new AbortController().signal, async (piece) => {
      text += piece
    })
    expect([text, result]).toEqual([
      'yard',
      { kind: 'done', finishReason: 'stop', completionTokens: 5, cachedTokens: 0 },
    ])
    expect(sequence.calls).toEqual(['keep 2', 'next 3', 'ended'])
    expect(pool.busy).toEqual([])
  })

  it('computes a long prompt in steps and stops between two of them when nobody wants it', async () => {
    const sequence = new ScriptedSequence('yard')
    const { context, pool } = setUp(sequence)
    const leave = new AbortController()
    const feed = sequence.feed.bind(sequence)
    sequence.feed = (tokens) => {
      leave.abort()
      return feed(tokens)
    }
    const result = await writeChoice(context, generation(3 * FEED_TOKENS), leave.signal, async () => {})
    expect(result).toEqual({ kind: 'aborted' })
    expect(sequence.calls).toEqual([`keep ${3 * FEED_TOKENS - 1}`, `feed ${FEED_TOKENS}`])
    expect(pool.busy).toEqual([])
  })

  it('stops at the next token when nobody wants it', async () => {
    const sequence = new ScriptedSequence('yard')
    const { context, pool } = setUp(sequence)
    const leave = new AbortController()
    const result = await writeChoice(context, generation(3), leave.signal, async () => leave.abort())
    expect(result).toEqual({ kind: 'aborted' })
    expect(sequence.calls.at(-1)).toBe('ended')
    expect(pool.busy).toEqual([])
  })

  it.each(['feed', 'next'] as const)('that fails in %s gives a fresh sequence back', async (fault) => {
    const sequence = new ScriptedSequence('ya', fault)
    const { context, pool, faults } = setUp(sequence)
    const signal = new AbortController().signal
    const result = await writeChoice(context, generation(2 * FEED_TOKENS), signal, async () => {})
    expect(result).toMatchObject({ kind: 'fault' })
    expect(sequence.calls.at(-1)).toBe('renew')
    expect([pool.busy, faults]).toEqual([[], []])
  })

  it('whose sequence cannot be brought back is the end of the engine', async () => {
    const sequence = new ScriptedSequence('ya', 'renew')
    const { context, faults } = setUp(sequence)
    await writeChoice(context, generation(3), new AbortController().signal, async () => {})
    expect(faults).toHaveLength(1)
  })
})
