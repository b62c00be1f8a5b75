import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Etcd, etcdMissing, startEtcd } from '../../test/support/etcd.ts'
import { systemClock } from '../base/clock.ts'
import { isYardError } from '../base/errors.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { seededRandom } from '../base/random.ts'
import { openEmbeddedStore } from './embedded-store.ts'
import { openEtcdStore } from './etcd-store.ts'
import { openMemoryStore } from './memory-store.ts'
import type { ChangeSet, Entry, Store } from './store.ts'

const RUNS = 100
// etcd takes 100 ms to begin a watch in the past.
const RUNS_ON_ETCD = 40
const TIMEOUT_MS = 120_000

test(
  'the memory and the embedded driver answer any sequence of operations alike',
  async () => {
    await fc.assert(
      fc.asyncProperty(scripts(), async (script) => {
        expect(await onEmbedded(script)).toEqual(await onMemory(script))
      }),
      { numRuns: RUNS },
    )
  },
  TIMEOUT_MS,
)

const missing = etcdMissing()
if (missing !== undefined) console.warn(`skipped: comparing the drivers with etcd (${missing})`)

describe.skipIf(missing !== undefined)('with a real etcd as the judge', () => {
  let etcd: Etcd
  let runs = 0
  beforeAll(async () => {
    etcd = await startEtcd()
  })
  afterAll(() => etcd?.[Symbol.asyncDispose]())

  test(
    'the memory driver and etcd answer any sequence of operations alike',
    async () => {
      await fc.assert(
        fc.asyncProperty(scripts(), async (script) => {
          const keyPrefix = `/run-${runs++}`
          const options = {
            endpoints: etcd.endpoints,
            keyPrefix,
            clock: systemClock,
            random: seededRandom(1),
          }
          const store = await openEtcdStore(options)
          const answers = await play(script, store)
          await store.close()
          expect(await onMemory(script)).toEqual(answers)
        }),
        { numRuns: RUNS_ON_ETCD },
      )
    },
    TIMEOUT_MS,
  )
})

/** Few keys, so that operations meet; some whose order differs between UTF-8 and UTF-16. */
const KEYS = ['/a', '/a/1', '/a/2', '/b', '/b/\uffee', '/b/🚂', 'z']
const PREFIXES = ['', '/', '/a', '/a/', '/b/', 'none']

/** Leases by the order of their granting: 0 … 2, which may not exist. Revisions by how far they are back. */
type Step =
  | { readonly kind: 'txn'; readonly compare: readonly Expectation[]; readonly ops: readonly StepOp[] }
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'list'; readonly prefix: string; readonly limit: number | undefined }
  | { readonly kind: 'grant' | 'reopen' }
  | { readonly kind: 'keepAlive' | 'revoke'; readonly lease: number }
  | { readonly kind: 'compact'; readonly back: number }
  | { readonly kind: 'watch'; readonly prefix: string; readonly back: number }

interface Expectation {
  readonly key: string
  readonly is: 'as it is' | 'absent' | 'otherwise'
}

type StepOp =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease: number | undefined }
  | { readonly kind: 'delete'; readonly key: string }

function scripts(): fc.Arbitrary<Step[]> {
  const key = fc.constantFrom(...KEYS)
  const prefix = fc.constantFrom(...PREFIXES)
  const lease = fc.nat(2)
  const compare = fc.record({
    key,
    is: fc.constantFrom('as it is' as const, 'absent' as const, 'otherwise' as const),
  })
  const put = fc.record({
    kind: fc.constant('put' as const),
    key,
    value: fc.string({ maxLength: 5 }),
    lease: fc.option(lease, { nil: undefined, freq: 2 }),
  })
  const remove = fc.record({ kind: fc.constant('delete' as const), key })
  const op: fc.Arbitrary<StepOp> = fc.oneof({ arbitrary: put, weight: 2 }, remove)
  // Mostly distinct keys: a key twice is refused, and then nothing else is tried.
  const distinct = fc.uniqueArray(op, { maxLength: 4, selector: (each) => each.key })
  const ops = fc.oneof({ arbitrary: distinct, weight: 9 }, fc.array(op, { maxLength: 3 }))
  const holding = fc.array(
    compare.map((c) => ({ ...c, is: 'as it is' as const })),
    { maxLength: 3 },
  )
  const compares = fc.oneof({ arbitrary: holding, weight: 3 }, fc.array(compare, { maxLength: 3 }))
  const limit = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined })
  const step: fc.Arbitrary<Step> = fc.oneof(
    { arbitrary: fc.record({ kind: fc.constant('txn' as const), compare: compares, ops }), weight: 8 },
    fc.record({ kind: fc.constant('get' as const), key }),
    fc.record({ kind: fc.constant('list' as const), prefix, limit }),
    { arbitrary: fc.record({ kind: fc.constant('grant' as const) }), weight: 2 },
    fc.record({ kind: fc.constant('reopen' as const) }),
    fc.record({ kind: fc.constantFrom('keepAlive' as const, 'revoke' as const), lease }),
    fc.record({ kind: fc.constant('compact' as const), back: fc.integer({ min: -2, max: 6 }) }),
    fc.record({ kind: fc.constant('watch' as const), prefix, back: fc.nat(8) }),
  )
  return fc.array(step, { maxLength: 30, size: 'max' })
}

async function onMemory(script: readonly Step[]): Promise<unknown[]> {
  return play(script, openMemoryStore({ clock: new FakeClock() }))
}

async function onEmbedded(script: readonly Step[]): Promise<unknown[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'yard-agree-'))
  const open = () => openEmbeddedStore({ dataDir, clock: new FakeClock(), rotateBytes: 500 })
  let store = await open()
  try {
    return await play(script, store, async () => {
      await store.close()
      store = await open()
      return store
    })
  } finally {
    await store.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** Every answer of the store, with revisions counted from its beginning and leases by their order. */
async function play(
  script: readonly Step[],
  opened: Store,
  reopen?: () => Promise<Store>,
): Promise<unknown[]> {
  let store = opened
  const base = (await store.list('')).revision
  const leases: string[] = []
  const answers: unknown[] = []
  const leaseAt = (index: number) => leases[index] ?? String(9_000_000 + index)
  const revisionBack = async (back: number) => Math.max(base, (await store.list('')).revision - back)

  const run = async (step: Step): Promise<unknown> => {
    switch (step.kind) {
      case 'txn': {
        const compare = await Promise.all(step.compare.map(async ({ key, is }) => resolve(store, key, is)))
        const ops = step.ops.map((op) =>
          op.kind === 'delete' || op.lease === undefined
            ? { kind: op.kind, key: op.key, value: op.kind === 'put' ? op.value : '' }
            : { kind: op.kind, key: op.key, value: op.value, leaseId: leaseAt(op.lease) },
        )
        const result = await store.txn(compare, ops)
        return { ...result, revision: result.revision - base }
      }
      case 'get':
        return relative(await store.get(step.key), base, leases)
      case 'list': {
        const listing = await store.list(step.prefix, step.limit === undefined ? {} : { limit: step.limit })
        return {
          revision: listing.revision - base,
          entries: listing.entries.map((entry) => relative(entry, base, leases)),
        }
      }
      case 'grant':
        return leases.push(await store.grantLease(600_000))
      case 'keepAlive':
        return store.keepAlive(leaseAt(step.lease))
      case 'revoke':
        return store.revokeLease(leaseAt(step.lease))
      case 'compact':
        return store.compact(await revisionBack(step.back))
      case 'watch':
        return watched(store, step.prefix, await revisionBack(step.back), base)
      case 'reopen':
        store = (await reopen?.()) ?? store
    }
  }
  for (const step of script) answers.push(await run(step).catch(faultCode))
  answers.push(await run({ kind: 'list', prefix: '', limit: undefined }))
  answers.push(await watched(store, '', base, base).catch(faultCode))
  for (const lease of leases) await store.revokeLease(lease)
  return answers
}

async function resolve(store: Store, key: string, is: Expectation['is']) {
  const modRevision = is === 'absent' ? 0 : ((await store.get(key))?.modRevision ?? 0)
  return { key, modRevision: is === 'otherwise' ? modRevision + 1 : modRevision }
}

/** Everything under the prefix from there to a change that is made for the purpose. */
async function watched(store: Store, prefix: string, after: number, base: number): Promise<unknown[]> {
  const mark = `${prefix}~mark`
  await store.txn([], [{ kind: 'put', key: mark, value: '' }])
  const { revision: until } = await store.txn([], [{ kind: 'delete', key: mark }])
  const sets: ChangeSet[] = []
  for await (const set of store.watch(prefix, after, new AbortController().signal)) {
    sets.push(set)
    if (set.revision >= until) break
  }
  return sets.map((set) => ({
    revision: set.revision - base,
    changes: set.changes.map((change) => ({
      ...change,
      modRevision: change.modRevision - base,
      ...(change.kind === 'put' ? { createRevision: change.createRevision - base } : {}),
    })),
  }))
}

function relative(entry: Entry | undefined, base: number, leases: readonly string[]): unknown {
  if (entry === undefined) return undefined
  return {
    ...entry,
    createRevision: entry.createRevision - base,
    modRevision: entry.modRevision - base,
    ...(entry.leaseId === undefined ? {} : { leaseId: leases.indexOf(entry.leaseId) }),
  }
}

function faultCode(error: unknown): unknown {
  if (!isYardError(error)) throw error
  return { code: error.code }
}
