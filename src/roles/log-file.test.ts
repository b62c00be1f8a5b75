import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLogFile } from './log-file.ts'

let dir: string
let path: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'log-file-'))
  path = join(dir, 'dev.log')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

it('goes on where it ended, for its owner only', async () => {
  openLogFile(path).write(Buffer.from('a\n'))
  openLogFile(path).write(Buffer.from('b\n'))
  expect(await readFile(path, 'utf8')).toBe('a\nb\n')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
})

it('takes no more of the disk than twice its bound and one write', async () => {
  const file = openLogFile(path, 100)
  for (let count = 0; count < 1_000; count++) file.write(Buffer.from(`line ${count}\n`))
  expect((await readdir(dir)).sort()).toEqual(['dev.log', 'dev.log.1'])
  for (const name of await readdir(dir)) expect((await stat(join(dir, name))).size).toBeLessThan(120)
  expect(await readFile(path, 'utf8')).toMatch(/line 999\n$/)
})

it('drops what it can no longer write', async () => {
  const file = openLogFile(path, 0)
  file.write(Buffer.from('a\n'))
  await rm(dir, { recursive: true })
  expect(() => file.write(Buffer.from('b\n'))).not.toThrow()
})
