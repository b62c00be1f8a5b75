import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { FakeClock } from '../base/fake-clock.ts'
import { openMemoryStore } from './memory-store.ts'
import { defineTable } from './tables.ts'

const schema = z.strictObject({ size: z.number(), note: z.string().optional() })
const things = defineTable({ kind: 'things', schema, version: 3, upgrades: { 1: renameLength } })
const open = () => openMemoryStore({ clock: new FakeClock() })

test('a record that was put is the record that is got, with the revisions to compare', async () => {
  const store = open()
  const leaseId = await store.grantLease(1_000)
  await store.txn([things.compareAbsent('a')], [things.put('a', { size: 1 }, { leaseId })])
  const row = await things.get(store, 'a')
  expect(row).toEqual({ name: ['a'], value: { size: 1 }, createRevision: 2, modRevision: 2, leaseId })
  expect(await things.get(store, 'b')).toBeUndefined()
  await store.txn([things.compareOf(row!)], [things.put('a', { size: 2, note: 'x' })])
  expect(await store.txn([things.compareOf(row!)], [things.delete('a')])).toMatchObject({ kind: 'conflict' })
  expect(await store.txn([things.compareAbsent('a')], [])).toMatchObject({ conflicts: ['/yard/v1/things/a'] })
  expect((await things.get(store, 'a'))?.value).toEqual({ size: 2, note: 'x' })
})

test('keys and values are written as documented: other programs read them too', () => {
  expect(things.put(['chat', 'r1'], { size: 1 })).toEqual({
    kind: 'put',
    key: '/yard/v1/things/chat/r1',
    value: '{"schema":3,"value":{"size":1}}',
  })
})

test('lists all records of its kind, or those under the first parts of a name', async () => {
  const store = open()
  const others = defineTable({ kind: 'things-of-others', schema, version: 1 })
  for (const name of [['b'], ['a', '1'], ['a', '2'], ['ab', '1']])
    await store.txn([], [things.put(name, { size: 1 })])
  await store.txn([], [others.put('a', { size: 1 })])
  const names = async (under?: string[]) =>
    (await things.list(store, under)).rows.map((row) => row.name.join('/'))
  expect(await names()).toEqual(['a/1', 'a/2', 'ab/1', 'b'])
  expect(await names(['a'])).toEqual(['a/1', 'a/2'])
  expect(await things.list(store, ['none'])).toEqual({ revision: 6, rows: [] })
})

test('says which keys are its own', () => {
  expect(things.nameOf('/yard/v1/things/a/1')).toEqual(['a', '1'])
  for (const key of ['/yard/v1/thing/a', '/yard/v1/things/', '/yard/v1/things/a//b', '/yard/v1/things/A']) {
    expect(things.nameOf(key)).toBeUndefined()
  }
})

test.each(['', 'A', 'a/b', '../a', '-a', 'a-', 'a b', 'é', 'a\n', 'a'.repeat(64)])(
  '%j is not a name',
  (name) => {
    const fault = expect.objectContaining({ code: 'invalid_request', reason: 'bad_name' })
    for (const bad of [name, ['a', name], [name, 'a'], []]) {
      expect(() => things.key(bad)).toThrow(fault)
      expect(() => things.put(bad, { size: 1 })).toThrow(fault)
    }
  },
)

test.each(['a', '0', 'a.b_c-d', 'a'.repeat(63)])('%j is a name', (name) => {
  expect(things.nameOf(things.key(name))).toEqual([name])
})

describe('records of other versions', () => {
  test('older ones are upgraded step by step', () => {
    expect(read({ schema: 1, value: { length: 5 } })).toEqual({ size: 5 })
    expect(read({ schema: 2, value: { size: 5 } })).toEqual({ size: 5 })
  })

  test('a newer one is a fault that says what to do', () => {
    expect(() => read({ schema: 4, value: { size: 1 } })).toThrow(
      expect.objectContaining({
        code: 'record_unreadable',
        reason: 'newer',
        message: expect.stringContaining('its schema is 4, this version knows 3'),
      }),
    )
  })
})

test.each([
  ['not JSON', 'secret-token'],
  ['no record', '"secret-token"'],
  ['no schema number', '{"value":{"size":1}}'],
  ['a schema number that is none', '{"schema":0.5,"value":{"size":1}}'],
  ['no value', '{"schema":3}'],
  ['a value of another shape', '{"schema":3,"value":{"size":"secret-token"}}'],
])('a record with %s is a fault that names it, and does not quote it', async (_, text) => {
  const store = open()
  await store.txn([], [{ kind: 'put', key: '/yard/v1/things/a', value: text }])
  const fault = {
    code: 'record_unreadable',
    reason: 'corrupt',
    message: expect.stringMatching(/^(?=.*\/yard\/v1\/things\/a)(?!.*secret-token)/),
  }
  await expect(things.get(store, 'a')).rejects.toMatchObject(fault)
  await expect(things.list(store)).rejects.toMatchObject(fault)
})

test('a value that does not fit its own schema is not stored', () => {
  const wrong = { size: 'large' } as unknown as { size: number }
  expect(() => things.put('a', wrong)).toThrow(expect.objectContaining({ code: 'internal' }))
})

function read(record: unknown): unknown {
  const entry = { key: things.key('a'), value: JSON.stringify(record), createRevision: 1, modRevision: 1 }
  return things.decode(entry).value
}

function renameLength(value: unknown): unknown {
  return { size: (value as { length: number }).length }
}
