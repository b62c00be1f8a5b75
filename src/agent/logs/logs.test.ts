import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { fileNameOf } from '../disk/file-name.ts'
import { fileLogs } from './file-logs.ts'
import { plainLine, splitLines, startOfLastLines } from './log-text.ts'

const LIMITS = { fileBytes: 10_000, files: 3, forgottenReplicas: 2 }
let dir = ''

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'yard-logs-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

function logs() {
  return fileLogs({ dir, clock: systemClock, limits: LIMITS })
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes)
}

function numbered(first: number, last: number): string {
  let all = ''
  for (let number = first; number <= last; number++) all += `line ${number}\n`
  return all
}

describe('the log of an engine', () => {
  test('gives its last lines, also across the files it was cut into', async () => {
    const log = logs()
    const path = await log.begin('r')
    await appendFile(path, numbered(1, 1500))
    await log.trim()
    await appendFile(path, numbered(1501, 1600))
    expect(text(await log.tail('r', 3, 'current'))).toBe('line 1598\nline 1599\nline 1600\n')
    expect(text(await log.tail('r', 250, 'current'))).toBe(numbered(1351, 1600))
    expect(text(await log.tail('r', 0, 'current'))).toBe('')
  })

  test('an unfinished last line counts as a line', async () => {
    const log = logs()
    await appendFile(await log.begin('r'), 'one\ntwo\nthr')
    expect(text(await log.tail('r', 2, 'current'))).toBe('two\nthr')
  })

  test('of a replica that never ran is undefined', async () => {
    expect(await logs().tail('nobody', 10, 'current')).toBeUndefined()
  })

  test('a new run keeps the end of the one before', async () => {
    const log = logs()
    await appendFile(await log.begin('r'), 'first\n')
    const path = await log.begin('r')
    await appendFile(path, 'second\n')
    expect(text(await log.tail('r', 10, 'previous'))).toBe('first\n')
    expect(text(await log.tail('r', 10, 'current'))).toBe('second\n')
  })

  test('never grows beyond its files, however much is written, and says what was dropped', async () => {
    const log = logs()
    const path = await log.begin('r')
    for (let turn = 0; turn < 20; turn++) {
      await appendFile(path, 'x'.repeat(25_000))
      await log.trim()
    }
    await appendFile(path, Buffer.alloc(3_000_000, 'y\n'))
    expect(await log.trim()).toBeGreaterThan(2_900_000)
    await log.begin('r')
    const names = await readdir(join(dir, 'r'))
    let bytes = 0
    for (const name of names) bytes += (await stat(join(dir, 'r', name))).size
    expect(bytes).toBeLessThan(LIMITS.fileBytes * 3)
    expect(text(await log.tail('r', 10_000, 'previous'))).toContain('bytes of log were dropped here')
  })

  test('a writer that holds the file open for appending leaves no hole after a cut', async () => {
    const log = logs()
    const path = await log.begin('r')
    const { open } = await import('node:fs/promises')
    const engine = await open(path, 'a')
    await engine.write('a'.repeat(20_000))
    await log.trim()
    await engine.write('after the cut\n')
    await engine.close()
    expect(await readFile(path, 'utf8')).toBe('after the cut\n')
  })

  test('is cut also when nobody asked for it since the start', async () => {
    await mkdir(join(dir, 'adopted'))
    await writeFile(join(dir, 'adopted', 'current.log'), 'z'.repeat(50_000))
    await logs().trim()
    expect((await stat(join(dir, 'adopted', 'current.log'))).size).toBe(0)
  })

  test('is not read or cut through a link', async () => {
    const secret = join(dir, 'secret')
    await writeFile(secret, 'keep me'.repeat(5_000))
    await mkdir(join(dir, 'r'))
    await symlink(secret, join(dir, 'r', 'current.log'))
    const log = logs()
    await log.trim()
    expect(text(await log.tail('r', 5, 'current'))).toBe('')
    expect((await stat(secret)).size).toBe(35_000)
  })

  test('of replicas that are no more is kept for the youngest only', async () => {
    const log = logs()
    for (const name of ['a', 'b', 'c', 'd']) {
      const path = await log.begin(name)
      await appendFile(path, name)
    }
    const { utimes } = await import('node:fs/promises')
    for (const [index, name] of ['a', 'b', 'c', 'd'].entries()) {
      await utimes(join(dir, name, 'current.log'), 1_000 + index, 1_000 + index)
    }
    await log.prune(new Set(['a']))
    expect((await readdir(dir)).sort()).toEqual(['a', 'c', 'd'])
  })
})

describe('watching a log', () => {
  test('a feed gives each complete line once, through cuts', async () => {
    const log = logs()
    const path = await log.begin('r')
    const feed = log.feed('r')
    await appendFile(path, 'one\ntw')
    expect(await feed.next()).toEqual(['one'])
    await appendFile(path, `o\n${'x'.repeat(20_000)}\nlast\n`)
    await log.trim()
    const lines = await feed.next()
    expect(lines.at(-1)).toBe('last')
    await appendFile(path, 'new\n')
    expect(await feed.next()).toEqual(['new'])
  })

  test('a feed skips most of a flood and goes on with its end', async () => {
    const log = logs()
    const path = await log.begin('r')
    const feed = log.feed('r')
    await appendFile(path, numbered(1, 100_000))
    const lines = await feed.next()
    expect(lines.at(-1)).toBe('line 100000')
    expect(lines.length).toBeLessThan(40_000)
  })

  test('a follower sees what is written later, over a cut and a new run, until it leaves', async () => {
    const log = logs()
    const path = await log.begin('r')
    await appendFile(path, 'before\n')
    const leave = new AbortController()
    let seen = ''
    const following = (async () => {
      for await (const chunk of log.follow('r', 10, leave.signal)) seen += text(chunk)
    })()
    await vi.waitFor(() => expect(seen).toBe('before\n'))
    await appendFile(path, 'later\n')
    await vi.waitFor(() => expect(seen).toContain('later\n'))
    await appendFile(path, 'x'.repeat(15_000))
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(15_000))
    await log.trim()
    await appendFile(path, 'after the cut\n')
    await vi.waitFor(() => expect(seen).toContain('after the cut\n'))
    await appendFile(await log.begin('r'), 'new run\n')
    await vi.waitFor(() => expect(seen).toContain('new run\n'))
    leave.abort()
    await following
  })
})

describe('text of logs', () => {
  test('a carriage return begins a line anew and colours are dropped', () => {
    expect(splitLines('10%\r20%\r\n\u001b[31merror\u001b[0m: no\u0007\nrest')).toEqual({
      lines: ['10%', '20%', 'error: no'],
      rest: 'rest',
    })
  })

  test('no control character is left', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (line) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is tested
        expect(plainLine(line)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
      }),
    )
  })

  test('the last lines begin where so many are left', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{0,5}$/), { minLength: 1 }),
        fc.nat(20),
        (lines, count) => {
          const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''))
          const end = new TextDecoder().decode(bytes.subarray(startOfLastLines(bytes, count)))
          expect(end).toBe(
            lines
              .slice(Math.max(0, lines.length - count))
              .map((line) => `${line}\n`)
              .join(''),
          )
        },
      ),
    )
  })

  test('names of files never lead out of their directory and never meet', () => {
    expect(fileNameOf('qwen3-0.6b-1f3a9c20-x7k2')).toBe('qwen3-0.6b-1f3a9c20-x7k2')
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(fileNameOf(a)).toMatch(/^[a-z0-9~][a-z0-9._-]{0,99}$/)
        expect(fileNameOf(a) === fileNameOf(b)).toBe(a === b)
      }),
    )
    for (const name of ['..', '.', '', '../x', 'a/b', '~', 'A'])
      expect(fileNameOf(name)).toMatch(/^~[0-9a-f]{64}$/)
  })
})
