import { unsettled } from './settled.ts'
import { type ClusterShape, type SimCluster, type SimNode, simCluster } from './sim-cluster.ts'
import { SimScript } from './sim-script.ts'
import { NO_STORE_FAULTS } from './sim-store.ts'

export interface SimResult {
  readonly violations: readonly string[]
  /** The end of the diary, for whoever looks for the cause. */
  readonly diary: readonly string[]
  /** How long after the last fault all was as it should be and stayed so. */
  readonly settledMs: number
  readonly virtualMs: number
}

const CHAOS_MS = 400_000
/** All that waits, waits for less: then it is settled. */
const QUIET_MS = 95_000
const SETTLE_WITHIN_MS = 900_000
/**
 * How long an engine that nobody wants may live while its agent reaches control: a poll that was lost (35 s), a retry,
 * and the engine's own stop steps (30 s).
 */
const UNWANTED_MS = 90_000

/** The cluster that a seed is run on. */
export function shapeOf(seed: number): ClusterShape {
  return { seed, nodes: 2 + (seed % 5), devicesPerNode: 1 + (seed % 3), servers: 1 + Number(seed % 4 !== 0) }
}

/** Runs one seed: accidents first, then none until all has settled. Ends at the first violation. */
export async function runSim(shape: ClusterShape, diaryLines = 400): Promise<SimResult> {
  const cluster = await simCluster(shape)
  const { clock, random, diary } = cluster
  const startMs = clock.now()
  const script = new SimScript(cluster)
  const unwanted = new UnwantedEngines(cluster)
  const step = async (ms: number) => {
    await clock.advance(ms)
    script.supervise()
    unwanted.check()
    return diary.violations.length === 0
  }
  let settledMs = 0
  try {
    while (clock.now() - startMs < CHAOS_MS) {
      if (!(await step(50 + random() * random() * 6_000))) break
      script.act()
    }
    script.heal()
    const healedMs = clock.now()
    for (;;) {
      if (!(await step(1_000))) break
      settledMs = cluster.changedAtMs() - healedMs
      if (clock.now() - Math.max(healedMs, cluster.changedAtMs()) > QUIET_MS) break
      if (clock.now() - healedMs < SETTLE_WITHIN_MS) continue
      diary.violations.push(`still changing ${SETTLE_WITHIN_MS / 1000} s after the last fault`)
      break
    }
    if (diary.violations.length === 0)
      diary.violations.push(...unsettled(cluster), ...broken(cluster, script))
  } finally {
    cluster.close()
  }
  return {
    violations: diary.violations,
    diary: diary.last(diaryLines),
    settledMs,
    virtualMs: clock.now() - startMs,
  }
}

/** What the API acknowledged and the store does not know. */
function broken({ picture }: SimCluster, { promised }: SimScript): string[] {
  return [...promised].flatMap(([name, generation]) => {
    const has = picture.get('models', name)?.generation ?? 0
    return has >= generation
      ? []
      : [`generation ${generation} of ${name} was acknowledged, the store has ${has}`]
  })
}

/** Engines that run and that no placement asks for, by when that could first be known to their agent. */
class UnwantedEngines {
  readonly #cluster: SimCluster
  readonly #unwantedSinceMs = new Map<unknown, number>()
  readonly #reachableSinceMs = new Map<SimNode, number>()

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
  }

  check(): void {
    const { nodes, clock, picture, diary } = this.#cluster
    const nowMs = clock.now()
    for (const node of nodes) {
      if (!this.#isReachable(node)) this.#reachableSinceMs.delete(node)
      else if (!this.#reachableSinceMs.has(node)) this.#reachableSinceMs.set(node, nowMs)
      const reachableMs = this.#reachableSinceMs.get(node) ?? nowMs
      for (const engine of node.machine.living) {
        if (picture.get('placements', engine.ask.replica)) continue
        const sinceMs = this.#unwantedSinceMs.get(engine) ?? nowMs
        this.#unwantedSinceMs.set(engine, sinceMs)
        if (nowMs - Math.max(sinceMs, reachableMs) <= UNWANTED_MS) continue
        diary.violations.push(`the engine of ${engine.ask.replica} lives on ${node.name} and nobody wants it`)
      }
    }
  }

  #isReachable({ agent, link, ended, machine }: SimNode): boolean {
    const { servers, storeFaults } = this.#cluster
    const linked =
      link.toControl === 'up' && link.fromControl === 'up' && link.beats === 'up' && link.mostMs < 1_000
    return (
      machine.up &&
      agent.running &&
      ended === undefined &&
      linked &&
      storeFaults === NO_STORE_FAULTS &&
      servers.every(({ process }) => process.running)
    )
  }
}
