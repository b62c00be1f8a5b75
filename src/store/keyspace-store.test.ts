import { expect, test } from 'vitest'
import { isYardError, YardError } from '../base/errors.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { Keyspace } from './keyspace.ts'
import { type Journal, KeyspaceStore } from './keyspace-store.ts'
import type { Op } from './store.ts'
import { take } from './store-world.testing.ts'

const put: Op = { kind: 'put', key: 'a', value: '1' }

test('nobody sees a change before it is durable: not its writer, not a reader, not a watcher', async () => {
  const { store, journal } = open()
  const seen: string[] = []
  const note = (what: string) => () => seen.push(what)
  const watched = take(store, '', 1, 1).then(note('watch'))
  const written = store.txn([], [put]).then(note('txn'))
  const read = store.get('a').then(note('get'))
  const listed = store.list('').then(note('list'))
  const refused = store.txn([{ key: 'a', modRevision: 0 }], []).then(note('conflict'))
  await turns()
  expect(seen).toEqual([])
  journal.finish()
  await Promise.all([watched, written, read, listed, refused])
  expect(seen.toSorted()).toEqual(['conflict', 'get', 'list', 'txn', 'watch'])
})

test('a transaction builds on those before it that are still on their way to the disk', async () => {
  const { store, journal } = open()
  const first = store.txn([], [put])
  const second = store.txn([{ key: 'a', modRevision: 2 }], [put])
  journal.finish()
  journal.finish()
  expect(await first).toEqual({ kind: 'committed', revision: 2 })
  expect(await second).toEqual({ kind: 'committed', revision: 3 })
})

test('a disk that does not answer is reported at the deadline, and a late answer still counts', async () => {
  const { store, journal, clock } = open()
  const written = expect(store.txn([], [put])).rejects.toMatchObject({ reason: 'disk_slow', retryable: true })
  await clock.advance(5_000)
  await written
  journal.finish()
  expect(await store.get('a')).toMatchObject({ value: '1' })
  expect(clock.pending).toBe(0)
})

test('after a failed write nothing is answered from memory, which is ahead of the disk', async () => {
  const { store, journal } = open()
  await store.get('a')
  const watched = take(store, '', 1, 1)
  const all = [store.txn([], [put]), store.get('a'), store.list(''), watched]
  journal.fail(new Error('EIO'))
  for (const each of await Promise.allSettled(all)) {
    expect(each.status === 'rejected' && isYardError(each.reason, 'store_unavailable')).toBe(true)
  }
  await expect(store.get('b')).rejects.toSatisfy((e) => isYardError(e, 'store_unavailable'))
})

test('a full journal refuses a transaction and leaves no trace of it', async () => {
  const { store, journal } = open()
  journal.refuse = true
  await expect(store.txn([], [put])).rejects.toMatchObject({ reason: 'overloaded' })
  journal.refuse = false
  expect(await store.get('a')).toBeUndefined()
  const written = store.txn([], [put])
  journal.finish()
  expect(await written).toEqual({ kind: 'committed', revision: 2 })
})

test('a lease that could not end because the journal was full ends a TTL later', async () => {
  const { store, journal, clock } = open()
  const granted = store.grantLease(1_000)
  journal.finish()
  const leaseId = await granted
  journal.refuse = true
  await clock.advance(1_000)
  expect(await store.keepAlive(leaseId)).toBe(true)
  journal.refuse = false
  await clock.advance(1_000)
  journal.finish()
  expect(await store.keepAlive(leaseId)).toBe(false)
})

test('what was asked for before close is written and answered', async () => {
  const { store, journal } = open()
  const written = store.txn([], [put])
  const closed = store.close()
  journal.finish()
  expect(await written).toEqual({ kind: 'committed', revision: 2 })
  await closed
})

function open() {
  const clock = new FakeClock()
  const journal = new HandJournal()
  const store = new KeyspaceStore({ keyspace: new Keyspace(), journal, clock, commitTimeoutMs: 5_000 })
  return { clock, journal, store }
}

/** A journal whose disk answers when told. */
class HandJournal implements Journal {
  refuse = false
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = []

  append(): Promise<void> {
    if (this.refuse) throw new YardError('store_unavailable', 'full', { reason: 'overloaded' })
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  finish(): void {
    this.#waiting.shift()!.resolve()
  }

  fail(error: Error): void {
    this.#waiting.shift()!.reject(error)
  }

  async close(): Promise<void> {}
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
