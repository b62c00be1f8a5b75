import { expect } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { TXN_MAX_OPS } from './limits.ts'
import { type It, put, remove, take } from './store-world.testing.ts'

export function entries(it: It): void {
  it(
    'a new store is empty and at revision 1',
    async ({ store }) => {
      expect(await store.list('')).toEqual({ revision: 1, entries: [] })
      expect(await put(store, 'a', '1')).toBe(2)
      expect((await take(store, '', 0, 1)).map((set) => set.revision)).toEqual([2])
    },
    { untouched: true },
  )

  it('a key that was never put is undefined', async ({ store }) => {
    expect(await store.get('a')).toBeUndefined()
  })

  it('the first put makes a key, later puts change it', async ({ store }) => {
    const made = await put(store, 'a', '1')
    expect(await store.get('a')).toEqual({ key: 'a', value: '1', createRevision: made, modRevision: made })
    const changed = await put(store, 'a', '2')
    expect(changed).toBe(made + 1)
    expect(await store.get('a')).toEqual({ key: 'a', value: '2', createRevision: made, modRevision: changed })
  })

  it('putting the value that is already there is a change', async ({ store }) => {
    const made = await put(store, 'a', '1')
    expect(await put(store, 'a', '1')).toBe(made + 1)
  })

  it('a key that is put again after a delete is a new key', async ({ store }) => {
    const made = await put(store, 'a', '1')
    expect(await remove(store, 'a')).toBe(made + 1)
    expect(await store.get('a')).toBeUndefined()
    expect(await put(store, 'a', '2')).toBe(made + 2)
    expect(await store.get('a')).toMatchObject({ createRevision: made + 2, modRevision: made + 2 })
  })

  it('an empty value is a value', async ({ store }) => {
    await put(store, 'a', '')
    expect(await store.get('a')).toMatchObject({ value: '' })
  })

  it('keys and values come back as they went in, whatever their characters', async ({ store }) => {
    const odd = 'a\u0000b\n\t"\\\u2028 é 火车 🚂 \uffff'
    await put(store, odd, odd)
    expect(await store.get(odd)).toMatchObject({ key: odd, value: odd })
    expect((await store.list('a\u0000')).entries).toMatchObject([{ key: odd, value: odd }])
  })

  it('an empty key and text that UTF-8 cannot hold are refused', async ({ store }) => {
    await expect(store.get('')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.get('\ud83d')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.list('\ud83d')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(put(store, 'a', '\udc00')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.txn([{ key: '', modRevision: 0 }], [])).rejects.toSatisfy((e) =>
      isYardError(e, 'invalid_request'),
    )
  })
}

export function listing(it: It): void {
  it('lists what begins with the prefix and nothing else', async ({ store }) => {
    for (const key of ['/a', '/a/1', '/a/2', '/ab', '/b/1']) await put(store, key, key)
    const list = await store.list('/a/')
    expect(list.entries.map((e) => e.key)).toEqual(['/a/1', '/a/2'])
    expect((await store.list('/c')).entries).toEqual([])
  })

  it('the empty prefix lists everything', async ({ store }) => {
    for (const key of ['b', '\u0001', '🚂', '\uffff']) await put(store, key, key)
    expect((await store.list('')).entries.map((e) => e.key)).toEqual(['\u0001', 'b', '\uffff', '🚂'])
  })

  it('keys are in the order of their UTF-8 bytes, also where UTF-16 has another', async ({ store }) => {
    const keys = ['z', 'é', 'a/b', 'a', 'a!', '\uffee', '🚂', '𐀀', '中', 'Z', '0', 'a\u0000']
    for (const key of keys) await put(store, `/${key}`, '')
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect((await store.list('/')).entries.map((e) => e.key.slice(1))).toEqual(sorted)
  })

  it('says the revision that the entries are of', async ({ store }) => {
    await put(store, '/a', '1')
    const revision = await put(store, '/elsewhere', '1')
    expect((await store.list('/a')).revision).toBe(revision)
    expect((await store.list('/none')).revision).toBe(revision)
  })

  it('stops at the limit', async ({ store }) => {
    for (const key of ['/a', '/b', '/c']) await put(store, key, key)
    expect((await store.list('/', { limit: 2 })).entries.map((e) => e.key)).toEqual(['/a', '/b'])
    expect((await store.list('/', { limit: 9 })).entries).toHaveLength(3)
    await expect(store.list('/', { limit: 0 })).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
  })

  it('lists more entries than one transaction or one message holds', async ({ store }) => {
    const keys = Array.from({ length: 700 }, (_, n) => `/many/${String(n).padStart(4, '0')}`)
    for (let at = 0; at < keys.length; at += TXN_MAX_OPS) {
      await store.txn(
        [],
        keys.slice(at, at + TXN_MAX_OPS).map((key) => ({ kind: 'put', key, value: key })),
      )
    }
    expect((await store.list('/many/')).entries.map((e) => e.value)).toEqual(keys)
    expect((await store.list('/many/', { limit: 600 })).entries.map((e) => e.key)).toEqual(keys.slice(0, 600))
  })
}
