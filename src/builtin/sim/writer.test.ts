import { describe, expect, it } from 'vitest'
import { createWriter, type WriterOptions } from './writer.ts'

function write(overrides: Partial<WriterOptions>, most = 1000) {
  const writer = createWriter({
    mode: 'random',
    source: '',
    seeds: ['1', 'm'],
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    ignoreEos: false,
    minTokens: 0,
    ...overrides,
  })
  const pieces: string[] = []
  const tokens: number[] = []
  for (let index = 0; index < most; index++) {
    const { token, stop } = writer.next(index)
    tokens.push(token)
    pieces.push(writer.takeText(stop || index === most - 1))
    if (stop) break
  }
  return { text: pieces.join(''), pieces, tokens, stoppedBy: writer.stoppedBy() }
}

describe('the writer', () => {
  it('writes readable sentences, the same for the same seeds and others for others', () => {
    const first = write({})
    expect(first.text).toMatch(/^[A-Z][a-z]*( [a-z]+)+/)
    expect(write({}).text).toBe(first.text)
    expect(write({ seeds: ['2', 'm'] }).text).not.toBe(first.text)
  })

  it('ends by itself, unless told to ignore the end', () => {
    const { tokens } = write({})
    expect(tokens.length).toBeLessThan(1000)
    expect(write({ ignoreEos: true }).tokens).toHaveLength(1000)
  })

  it('cuts at a stop string, also when it spans tokens, and says which', () => {
    const source = 'one two three four five six'
    const result = write({ mode: 'echo', source, stop: ['ee fo'] })
    expect(result).toMatchObject({ text: 'one two thr', stoppedBy: 'ee fo' })
    expect(write({ mode: 'echo', source, stop: ['ee fo'], includeStop: true }).text).toBe('one two three fo')
  })

  it('never sends a piece of a stop string that completes later', () => {
    const { pieces } = write({ mode: 'echo', source: 'one two three four five', stop: [' four five'] })
    expect(pieces.join('')).toBe('one two three')
  })

  it('stops at a stop token without its text', () => {
    const plain = write({ mode: 'echo', source: 'one two three' })
    const result = write({ mode: 'echo', source: 'one two three', stopTokenIds: [plain.tokens[1] ?? 0] })
    expect(result).toMatchObject({ text: 'one', stoppedBy: plain.tokens[1] })
  })

  it('heeds no stop before min_tokens', () => {
    expect(write({ mode: 'echo', source: 'a b a b a b', stop: [' b'], minTokens: 3 }).text).toBe('a b a')
  })
})
