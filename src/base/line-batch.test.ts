import { describe, expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { batchLines } from './line-batch.ts'

function batch(options?: { maxMs?: number; maxBytes?: number }) {
  const clock = new FakeClock()
  const written: string[] = []
  return {
    clock,
    written,
    lines: batchLines((bytes) => written.push(Buffer.from(bytes).toString()), clock, options),
  }
}

describe('a batch of lines', () => {
  it('is written together, soon after its first line', async () => {
    const { clock, written, lines } = batch({ maxMs: 20 })
    lines.write('one\n')
    await clock.advance(10)
    lines.write('zwölf\n')
    expect(written).toEqual([])
    await clock.advance(10)
    expect(written).toEqual(['one\nzwölf\n'])
    await clock.advance(100)
    expect(written).toHaveLength(1)
    lines.write('later\n')
    await clock.advance(20)
    expect(written.at(-1)).toBe('later\n')
  })

  it('keeps the order and every line when it is full, also a line larger than a batch', () => {
    const { written, lines } = batch({ maxBytes: 40 })
    const all = ['aaaaaaaa\n', 'bbbbbbbb\n', `${'c'.repeat(100)}\n`, 'dddd\n']
    for (const line of all) lines.write(line)
    lines.flush()
    expect(written.join('')).toBe(all.join(''))
    expect(written.length).toBeGreaterThan(1)
  })

  it('is written at once when asked, and only once', async () => {
    const { clock, written, lines } = batch()
    lines.write('last words\n')
    lines.flush()
    lines.flush()
    await clock.advance(1_000)
    expect(written).toEqual(['last words\n'])
    expect(clock.pending).toBe(0)
  })
})
