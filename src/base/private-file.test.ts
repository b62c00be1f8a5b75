import { lstat, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { writePrivateFile } from './private-file.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'private-file-'))
})
afterEach(() => rm(dir, { recursive: true }))

it('is for its owner only, also in place of a file that others could read, and leaves nothing beside it', async () => {
  const path = join(dir, 'key')
  await writeFile(path, 'old', { mode: 0o644 })
  await writeFile(`${path}.new`, 'left by a crash', { mode: 0o644 })
  await writePrivateFile(path, 'new')
  expect(await readFile(path, 'utf8')).toBe('new')
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readdir(dir)).toEqual(['key'])
})

it('does not write through a link, neither in its place nor beside it', async () => {
  const target = join(dir, 'target')
  const path = join(dir, 'key')
  await writeFile(target, 'mine')
  await symlink(target, path)
  await symlink(target, `${path}.new`)
  await writePrivateFile(path, 'secret')
  expect(await readFile(target, 'utf8')).toBe('mine')
  expect((await lstat(path)).isFile()).toBe(true)
})
