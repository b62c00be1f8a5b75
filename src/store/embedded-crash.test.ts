import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { bundle } from '../../test/support/bundle.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { openEmbeddedStore } from './embedded-store.ts'

test('every write that a killed process had acknowledged is there afterwards, killed again and again', async () => {
  await using program = await bundle(join(import.meta.dirname, 'embedded-writer.testing.ts'))
  await using dir = await tempDir()
  const acknowledged = new Map<string, number>()
  for (const [round, lines] of [1, 50, 333, 1_000, 2_500].entries()) {
    using writer = startWriter(program.path, dir.path, `round${round}`)
    for await (const line of writer.lines) {
      const [key, revision] = line.split(' ')
      if (revision !== undefined) acknowledged.set(key!, Number(revision))
      if (acknowledged.size >= lines && !writer.process.killed) writer.process.kill('SIGKILL')
    }
    await writer.exited

    const store = await openEmbeddedStore({ dataDir: dir.path, clock: new FakeClock() })
    const { entries } = await store.list('/')
    const found = new Map(entries.map((e) => [e.key, e.modRevision]))
    for (const [key, revision] of acknowledged) expect(found.get(key)).toBe(revision)
    // What was written but not acknowledged may be there: at most one write of each writer and round.
    expect(found.size).toBeLessThanOrEqual(acknowledged.size + 8 * (round + 1))
    await store.close()
  }
  expect(acknowledged.size).toBeGreaterThanOrEqual(2_500)
}, 60_000)

test('a second process is told the pid of the one that has the directory, and gets it when that one is killed', async () => {
  await using program = await bundle(join(import.meta.dirname, 'embedded-writer.testing.ts'))
  await using dir = await tempDir()
  using writer = startWriter(program.path, dir.path, 'holder')
  await once(writer.lines, 'line')
  const open = () => openEmbeddedStore({ dataDir: dir.path, clock: new FakeClock() })
  await expect(open()).rejects.toMatchObject({
    code: 'data_dir_unusable',
    message: expect.stringContaining(`pid ${writer.process.pid}`),
    hint: expect.stringContaining('Stop that process'),
  })
  writer.process.kill('SIGKILL')
  await writer.exited
  await (await open()).close()
}, 60_000)

function startWriter(program: string, dataDir: string, name: string) {
  const process_: ChildProcess = spawn(process.execPath, [program, dataDir, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return {
    process: process_,
    lines: createInterface({ input: process_.stdout! }),
    exited: once(process_, 'exit'),
    [Symbol.dispose]: () => void process_.kill('SIGKILL'),
  }
}

async function tempDir() {
  const path = await mkdtemp(join(tmpdir(), 'yard-store-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
