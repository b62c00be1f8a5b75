import { afterAll, beforeAll, describe } from 'vitest'
import { type Etcd, etcdMissing, startEtcd } from '../../test/support/etcd.ts'
import { systemClock } from '../base/clock.ts'
import { seededRandom } from '../base/random.ts'
import { storeConformance } from './conformance.testing.ts'
import { openEtcdStore } from './etcd-store.ts'

const missing = etcdMissing()
if (missing !== undefined) console.warn(`skipped: the etcd driver's conformance (${missing})`)

describe.skipIf(missing !== undefined)('a real etcd', () => {
  let shared: Etcd
  let worlds = 0
  beforeAll(async () => {
    shared = await startEtcd()
  })
  afterAll(() => shared?.[Symbol.asyncDispose]())

  storeConformance('etcd', async ({ untouched }) => {
    const etcd = untouched ? await startEtcd() : shared
    const keyPrefix = `/world-${worlds++}`
    const store = await openEtcdStore({
      endpoints: etcd.endpoints,
      keyPrefix,
      clock: systemClock,
      random: seededRandom(worlds),
    })
    return {
      store,
      pass: (byMs) => systemClock.sleep(byMs),
      async [Symbol.asyncDispose]() {
        await store.close()
        // Keys of leases would vanish during later tests, and move the revision.
        if (etcd === shared) etcd.ctl('del', '--prefix', keyPrefix)
        else await etcd[Symbol.asyncDispose]()
      },
    }
  })
})
