import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { storeConformance } from './conformance.testing.ts'
import { type EmbeddedStoreOptions, openEmbeddedStore } from './embedded-store.ts'
import type { Store } from './store.ts'
import { type OpenWorld, put, take } from './store-world.testing.ts'

const openWorld: OpenWorld = async () => {
  const dir = await tempDir()
  const clock = new FakeClock()
  const store = await openEmbeddedStore({ dataDir: dir.path, clock })
  return {
    store,
    pass: (byMs) => clock.advance(byMs),
    async [Symbol.asyncDispose]() {
      await store.close()
      await dir[Symbol.asyncDispose]()
    },
  }
}

storeConformance('embedded', openWorld)

test('a reopened store is the store that was closed: entries, revisions, history', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  await put(store, 'a', '1')
  await put(store, 'b', '1\n火')
  await store.txn([], [{ kind: 'delete', key: 'a' }])
  const before = await store.list('')
  const sets = await take(store, '', 1, 3)
  await store.close()
  await using again = await reopen(dir)
  expect(await again.store.list('')).toEqual(before)
  expect(await take(again.store, '', 1, 3)).toEqual(sets)
  expect(await put(again.store, 'c', '1')).toBe(before.revision + 1)
})

test('what was compacted stays compacted after reopening', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  for (const value of ['1', '2', '3']) await put(store, 'a', value)
  await store.compact(4)
  await store.close()
  await using again = await reopen(dir)
  await expect(take(again.store, '', 2, 1)).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
  expect(await take(again.store, '', 3, 1)).toHaveLength(1)
})

test('after reopening each lease has its keys and its full TTL again, and ids are not given twice', async () => {
  await using dir = await tempDir()
  const clock = new FakeClock()
  const store = await open(dir, { clock })
  const leaseId = await store.grantLease(10_000)
  const ended = await store.grantLease(10_000)
  await store.revokeLease(ended)
  await store.txn([], [{ kind: 'put', key: 'a', value: '1', leaseId }])
  await clock.advance(9_000)
  await store.close()
  await using again = await reopen(dir, { clock })
  await clock.advance(9_000)
  expect(await again.store.get('a')).toMatchObject({ leaseId })
  expect(await again.store.keepAlive(ended)).toBe(false)
  expect([leaseId, ended]).not.toContain(await again.store.grantLease(10_000))
  await clock.advance(1_000)
  expect(await again.store.get('a')).toBeUndefined()
})

test('the journal is begun anew when it has grown, also while many write, and nothing is lost', async () => {
  await using dir = await tempDir()
  const store = await open(dir, { rotateBytes: 500, history: { maxRevisions: 20, maxBytes: 1e9 } })
  const writes: Promise<number>[] = []
  for (let n = 0; n < 1_000; n++) {
    writes.push(put(store, `/k/${n % 40}`, String(n)))
    // Not in step with the disk, so that some come while a new file is being written, nor far ahead of it.
    await new Promise((resolve) => setImmediate(resolve))
    await writes[n - 20]
  }
  expect(await Promise.all(writes)).toEqual(Array.from(writes, (_, n) => n + 2))
  const before = await store.list('')
  await store.close()
  const files = await journals(dir.path)
  await using again = await reopen(dir)
  expect(await again.store.list('')).toEqual(before)
  expect(before.entries.map((e) => Number(e.value)).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 40 }, (_, n) => 960 + n),
  )
  expect(files).toHaveLength(1)
  expect(Number(/(\d+)\.journal/.exec(files[0]!)?.[1])).toBeGreaterThan(5)
})

test('a journal cut at every byte of its last writes opens with all that was acknowledged before', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  for (const key of ['a', 'b', 'c']) await put(store, key, 'value')
  await store.close()
  const path = join(dir.path, 'store', (await journals(dir.path))[0]!)
  const bytes = await readFile(path)
  const lines = bytes.toString().trimEnd().split('\n')
  expect(lines).toHaveLength(4)
  const twoLast = lines[2]!.length + lines[3]!.length + 2
  for (let cut = bytes.length - twoLast; cut <= bytes.length; cut++) {
    await using copy = await tempDir()
    await mkdir(join(copy.path, 'store'))
    const target = join(copy.path, 'store', 'v1-000001.journal')
    await copyFile(path, target)
    await truncate(target, cut)
    await using again = await reopen(copy)
    const whole = cut === bytes.length ? 3 : cut >= bytes.length - lines[3]!.length - 1 ? 2 : 1
    expect((await again.store.list('')).entries).toHaveLength(whole)
    expect(await put(again.store, 'd', '1')).toBe(2 + whole)
  }
})

test('a journal damaged in the middle is refused, left as it is, and the message says where', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  for (const key of ['a', 'b', 'c']) await put(store, key, 'value')
  await store.close()
  const path = join(dir.path, 'store', 'v1-000001.journal')
  const bad = (await readFile(path, 'utf8')).replace('"key":"b"', '"key":"x"')
  await writeFile(path, bad)
  for (let attempt = 0; attempt < 2; attempt++) {
    await expect(open(dir)).rejects.toMatchObject({
      code: 'data_dir_unusable',
      reason: 'damaged',
      message: expect.stringContaining('line 3'),
      hint: expect.stringContaining('backup'),
    })
  }
  expect(await readFile(path, 'utf8')).toBe(bad)
})

test('a start that was interrupted while it wrote a new journal leaves the old one in force', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  await put(store, 'a', '1')
  await store.close()
  await writeFile(join(dir.path, 'store', 'v1-000002.journal.tmp'), 'half of a sta')
  await using again = await reopen(dir)
  expect(await again.store.get('a')).toMatchObject({ value: '1' })
  expect(await readdir(join(dir.path, 'store'))).toEqual(['lock', 'v1-000002.journal'])
})

test('an older journal that power loss brought back is not read', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  await put(store, 'a', '1')
  await store.close()
  const first = await readFile(join(dir.path, 'store', 'v1-000001.journal'))
  const again = await open(dir)
  await put(again, 'a', '2')
  await again.close()
  await writeFile(join(dir.path, 'store', 'v1-000001.journal'), first)
  await using third = await reopen(dir)
  expect(await third.store.get('a')).toMatchObject({ value: '2' })
  expect(await journals(dir.path)).toEqual(['v1-000003.journal'])
})

test('a directory of a newer version is refused, and says what to do', async () => {
  await using dir = await tempDir()
  await (await open(dir)).close()
  await writeFile(join(dir.path, 'store', 'v2-000009.journal'), 'from the future')
  await expect(open(dir)).rejects.toMatchObject({
    code: 'data_dir_newer',
    message: expect.stringContaining('format is 2'),
    hint: expect.stringContaining('Install that version'),
  })
  expect(await journals(dir.path)).toEqual(['v1-000001.journal', 'v2-000009.journal'])
})

test('a path that is a file, or below one, is refused with a hint', async () => {
  await using dir = await tempDir()
  await writeFile(join(dir.path, 'file'), '')
  await writeFile(join(dir.path, 'store'), '')
  for (const path of [join(dir.path, 'file'), join(dir.path, 'file', 'deeper'), dir.path]) {
    await expect(open({ path })).rejects.toMatchObject({
      code: 'data_dir_unusable',
      hint: expect.stringContaining('choose another --data-dir'),
    })
  }
})

test('a directory that this user may not write to is refused with a hint', async () => {
  await using dir = await tempDir()
  const root = process.geteuid?.() === 0
  await mkdir(join(dir.path, 'closed'), { mode: root ? 0o700 : 0o500 })
  if (root) process.seteuid?.(65_534)
  try {
    await expect(open({ path: join(dir.path, 'closed', 'data') })).rejects.toMatchObject({
      code: 'data_dir_unusable',
      reason: 'eacces',
      hint: expect.stringContaining('right to write'),
    })
  } finally {
    if (root) process.seteuid?.(0)
  }
})

test('the directory and its files are for this user only', async () => {
  await using dir = await tempDir()
  await using world = await reopen({ path: join(dir.path, 'new', 'data') })
  await put(world.store, 'a', '1')
  const store = join(dir.path, 'new', 'data', 'store')
  expect((await stat(store)).mode & 0o777).toBe(0o700)
  for (const file of await readdir(store)) expect((await stat(join(store, file))).mode & 0o777).toBe(0o600)
})

test('the same process cannot open a directory twice, and can again after close', async () => {
  await using dir = await tempDir()
  const store = await open(dir)
  await expect(open(dir)).rejects.toMatchObject({
    code: 'data_dir_unusable',
    reason: 'locked',
    details: { pid: process.pid },
  })
  expect(await put(store, 'a', '1')).toBe(2)
  await store.close()
  await (await open(dir)).close()
  expect(await readdir(join(dir.path, 'store'))).toHaveLength(1)
})

test.each([
  ['a process that is gone', { pid: 4_194_303 }],
  ['an earlier process with our id', { pid: process.pid, startedAtTicks: '1' }],
  ['a process before the machine was restarted', { pid: process.pid, bootId: 'another' }],
  ['a process in a container that is gone', { pid: 1, pidNamespace: 'pid:[1]' }],
  ['nobody, since power loss left it empty', undefined],
])('a lock of %s is taken over', async (_, owner) => {
  await using dir = await tempDir()
  await (await open(dir)).close()
  await writeFile(join(dir.path, 'store', 'lock'), owner === undefined ? '' : JSON.stringify(owner))
  await using world = await reopen(dir)
  expect(await put(world.store, 'a', '1')).toBe(2)
})

test('a store whose lock was taken stops, and acknowledges nothing that its successor has not got', async () => {
  await using dir = await tempDir()
  const first = await open(dir)
  await put(first, 'a', '1')
  await rm(join(dir.path, 'store', 'lock'))
  await using second = await reopen(dir)
  expect(await second.store.get('a')).toMatchObject({ value: '1' })
  await expect(put(first, 'b', '1')).rejects.toMatchObject({ code: 'store_unavailable', reason: 'lock_lost' })
  await expect(first.get('a')).rejects.toSatisfy((e) => isYardError(e, 'store_unavailable'))
  expect(await put(second.store, 'c', '1')).toBe(3)
  await first.close()
  await first.close()
  expect(await put(second.store, 'd', '1')).toBe(4)
})

test('when the disk refuses a write the store stops, and reopening has all that was acknowledged', async () => {
  await using dir = await tempDir()
  const store = await open(dir, { rotateBytes: 1_000 })
  // A directory where the next journal would be written makes the file system refuse it.
  await mkdir(join(dir.path, 'store', 'v1-000002.journal.tmp'))
  let acknowledged = 0
  const writing = async () => {
    for (;;) acknowledged = Number(await put(store, 'a', 'x'.repeat(100)))
  }
  await expect(writing()).rejects.toMatchObject({ code: 'store_unavailable', reason: 'write_failed' })
  await expect(store.get('a')).rejects.toMatchObject({ reason: 'write_failed' })
  await store.close()
  await rm(join(dir.path, 'store', 'v1-000002.journal.tmp'), { recursive: true })
  await using again = await reopen(dir)
  expect((await again.store.get('a'))?.modRevision).toBe(acknowledged)
})

function open(dir: { path: string }, more: Partial<EmbeddedStoreOptions> = {}): Promise<Store> {
  return openEmbeddedStore({ dataDir: dir.path, clock: new FakeClock(), ...more })
}

async function reopen(dir: { path: string }, more: Partial<EmbeddedStoreOptions> = {}) {
  const store = await open(dir, more)
  return { store, [Symbol.asyncDispose]: () => store.close() }
}

async function journals(dataDir: string): Promise<string[]> {
  return (await readdir(join(dataDir, 'store'))).filter((name) => name.endsWith('.journal')).sort()
}

async function tempDir() {
  const path = await mkdtemp(join(tmpdir(), 'yard-store-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
