import { systemClock } from '../base/clock.ts'
import { openEmbeddedStore } from './embedded-store.ts'

/**
 * A program to be killed: `<dataDir> <name>`. Eight writers put as fast as they can, and each write is told on
 * stdout, as `key revision`, once the store has acknowledged it.
 */
const [dataDir = '', name = ''] = process.argv.slice(2)
const store = await openEmbeddedStore({ dataDir, clock: systemClock, rotateBytes: 20_000 })
process.stdout.write('open\n')
await Promise.all(
  Array.from({ length: 8 }, async (_, writer) => {
    for (let n = 0; ; n++) {
      const key = `/${name}/${writer}/${n}`
      const { revision } = await store.txn([], [{ kind: 'put', key, value: key.repeat(1 + (n % 40)) }])
      process.stdout.write(`${key} ${revision}\n`)
    }
  }),
)
