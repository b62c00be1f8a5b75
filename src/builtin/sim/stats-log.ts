import type { Clock, Timer } from '../../base/clock.ts'
import type { SimCore } from './sim-core.ts'
import type { SimLog } from './sim-log.ts'
import type { SimEvent } from './sim-request.ts'

/**
 * vLLM's line of numbers every ten seconds (LoggingStatLogger), while there is work and once after: an idle
 * engine says nothing and holds no timer.
 */
export function createStatsLog(core: SimCore, clock: Clock, log: SimLog) {
  let timer: Timer | undefined
  let prompt = 0
  let generated = 0
  let queried = 0
  let hit = 0

  const line = () => {
    const { running, waiting, kvUsage } = core.stats()
    log(
      'INFO',
      'loggers.py:259',
      `Engine 000: Avg prompt throughput: ${perSecond(prompt)} tokens/s, ` +
        `Avg generation throughput: ${perSecond(generated)} tokens/s, Running: ${running} reqs, ` +
        `Waiting: ${waiting} reqs, GPU KV cache usage: ${percent(kvUsage)}, ` +
        `Prefix cache hit rate: ${percent(queried === 0 ? 0 : hit / queried)}`,
    )
    const active = prompt + generated + running + waiting > 0
    prompt = 0
    generated = 0
    timer = active ? clock.after(INTERVAL_MS, line) : undefined
  }

  return {
    observe(event: SimEvent) {
      if (event.kind === 'stepped') {
        prompt += event.prefillTokens
        generated += event.outputTokens
        timer ??= clock.after(INTERVAL_MS, line)
      } else if (event.kind === 'admitted' && !event.resumed) {
        queried += event.promptTokens
        hit += event.cachedTokens
      }
    },
    stop: () => timer?.cancel(),
  }
}

const INTERVAL_MS = 10_000

function perSecond(tokens: number): string {
  return ((tokens * 1000) / INTERVAL_MS).toFixed(1)
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`
}
