import { describe, expect, it } from 'vitest'
import { REGRESSION_SEEDS } from './regression-seeds.ts'
import { runSim, shapeOf } from './run-sim.ts'

/**
 * Real control, real agents and a gateway's view in a simulated world. `YARD_SIM_SEED=n` runs one seed,
 * `YARD_SIM_SEEDS=1000` runs so many (from `YARD_SIM_FIRST` on, else 1), `YARD_SIM_LINES=5000` prints more of a failing run's diary.
 */
const one = process.env.YARD_SIM_SEED
const first = Number(process.env.YARD_SIM_FIRST ?? 1)
const count = Number(process.env.YARD_SIM_SEEDS ?? 30)
const lines = Number(process.env.YARD_SIM_LINES ?? 60)
const LIMIT_MS = 60_000

async function holds(seed: number): Promise<void> {
  const { violations, diary } = await runSim(shapeOf(seed), lines)
  if (violations.length === 0) return
  throw new Error(
    `seed ${seed} (again: YARD_SIM_SEED=${seed} npx vitest run test/sim)\n\n${violations.join('\n')}\n\n` +
      `the last of its diary (seconds, @ revision of the store):\n${diary.join('\n')}\n`,
  )
}

describe('a cluster keeps its promises while accidents happen, and settles after them', () => {
  const seeds = one === undefined ? Array.from({ length: count }, (_, index) => first + index) : [Number(one)]
  it.each(seeds)('seed %i', holds, LIMIT_MS)
})

describe.runIf(one === undefined)('what went wrong once does not again', () => {
  it.each(REGRESSION_SEEDS)('seed $seed: $fault', ({ seed }) => holds(seed), LIMIT_MS)
})

describe.runIf(one === undefined)('a simulation', () => {
  it(
    'of one seed has one history',
    async () => {
      const [once, again] = [await runSim(shapeOf(7), 20_000), await runSim(shapeOf(7), 20_000)]
      expect(once.diary.length).toBeGreaterThan(500)
      expect(again.diary).toEqual(once.diary)
    },
    2 * LIMIT_MS,
  )
})
