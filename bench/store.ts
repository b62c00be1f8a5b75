import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { openEmbeddedStore } from '../src/store/index.ts'
import { median } from './median.ts'

const SECONDS = 2
const ROUNDS = 5
const VALUE = JSON.stringify({ text: 'x'.repeat(280) })

/**
 * Durable transactions of the embedded store beside the raw rate of write and fdatasync of the same bytes on the same
 * disk, interleaved. One transaction puts two keys of 300 bytes. Prints a Markdown table of medians and ratios.
 */
export async function runStoreBench(words: readonly string[]): Promise<void> {
  const dir = mkdtempSync(join(words[0] ?? tmpdir(), 'yard-bench-'))
  try {
    const writers = [1, 16, 256]
    const raw: number[] = []
    const rates = new Map(writers.map((count) => [count, [] as number[]]))
    for (let round = 0; round < ROUNDS; round++) {
      raw.push(await rawRate(join(dir, `raw-${round}`)))
      for (const count of writers)
        rates.get(count)?.push(await storeRate(join(dir, `store-${round}-${count}`), count))
    }
    const base = median(raw)
    console.log('| what | per second | × raw fdatasync |\n|---|---|---|')
    console.log(`| raw write + fdatasync, one after another | ${Math.round(base)} | 1 |`)
    for (const [count, seen] of rates) {
      console.log(
        `| durable transactions, ${count} writer${count === 1 ? '' : 's'} | ${Math.round(median(seen))} | ${(median(seen) / base).toFixed(2)} |`,
      )
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function rawRate(path: string): Promise<number> {
  const file = await open(path, 'a')
  const bytes = Buffer.from(VALUE + VALUE)
  const began = performance.now()
  let count = 0
  while (performance.now() - began < SECONDS * 1000) {
    await file.write(bytes)
    await file.datasync()
    count++
  }
  await file.close()
  return (count / (performance.now() - began)) * 1000
}

async function storeRate(dataDir: string, writers: number): Promise<number> {
  const store = await openEmbeddedStore({ dataDir, clock: systemClock })
  const began = performance.now()
  let count = 0
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let turn = 0; performance.now() - began < SECONDS * 1000; turn++) {
        const key = `/bench/${writer}/${turn % 100}`
        await store.txn(
          [],
          [
            { kind: 'put', key, value: VALUE },
            { kind: 'put', key: `${key}/status`, value: VALUE },
          ],
        )
        count++
      }
    }),
  )
  const rate = (count / (performance.now() - began)) * 1000
  await store.close()
  return rate
}
