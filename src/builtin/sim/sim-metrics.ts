import { createMetricFamilies, type MetricOptions } from './metric-families.ts'
import type { SimEvent, SimFinished, SimStats } from './sim-request.ts'

/** Keeps the numbers of `/metrics` from the core's events and the server's calls. */
export interface SimMetrics {
  observe(event: SimEvent): void
  /** Counts the parameters of an accepted request. */
  accepted(n: number, maxTokens: number): void
  rejected(): void
  served(handler: string, method: string, status: number, durationMs: number): void
  /** The page. `nowMs` is Unix time. */
  text(stats: SimStats, nowMs: number): string
}

export function createSimMetrics(options: MetricOptions): SimMetrics {
  const metric = createMetricFamilies(options)
  /** Admitted sequences that have not ended. */
  const live = new Map<
    string,
    { arrivedAtMs: number; promptTokens: number; lastTokenAtMs: number | undefined }
  >()

  const token = (id: string, atMs: number) => {
    const sequence = live.get(id)
    if (sequence === undefined) return
    if (sequence.lastTokenAtMs === undefined) {
      metric.ttft.observe((atMs - sequence.arrivedAtMs) / 1000)
      metric.promptTokens.add(sequence.promptTokens)
    } else metric.itl.observe((atMs - sequence.lastTokenAtMs) / 1000)
    sequence.lastTokenAtMs = atMs
  }

  const finished = (end: SimFinished) => {
    live.delete(end.id)
    const { arrivedAtMs, admittedAtMs, firstTokenAtMs, finishedAtMs, outputTokens } = end
    metric.successes[end.reason].add(1)
    metric.e2e.observe((finishedAtMs - arrivedAtMs) / 1000)
    metric.queueTime.observe(((admittedAtMs ?? finishedAtMs) - arrivedAtMs) / 1000)
    metric.requestPrompt.observe(end.promptTokens)
    metric.requestOutput.observe(outputTokens)
    metric.mostOutput.observe(outputTokens)
    if (admittedAtMs === undefined || firstTokenAtMs === undefined) return
    const decodeMs = finishedAtMs - firstTokenAtMs
    metric.inferenceTime.observe((finishedAtMs - admittedAtMs) / 1000)
    metric.prefillTime.observe((firstTokenAtMs - admittedAtMs) / 1000)
    metric.prefillComputed.observe(end.promptTokens - end.cachedTokens)
    metric.decodeTime.observe(decodeMs / 1000)
    if (outputTokens > 1) metric.tpot.observe(decodeMs / 1000 / (outputTokens - 1))
  }

  return {
    observe(event) {
      switch (event.kind) {
        case 'admitted': {
          if (event.resumed) return
          const { arrivedAtMs, promptTokens, cachedTokens } = event
          live.set(event.id, { arrivedAtMs, promptTokens, lastTokenAtMs: undefined })
          metric.queries.add(promptTokens)
          metric.hits.add(cachedTokens)
          metric.cachedTokens.add(cachedTokens)
          metric.fromCache.add(cachedTokens)
          return
        }
        case 'preempted':
          metric.preemptions.add(1)
          return
        case 'token':
          token(event.id, event.atMs)
          return
        case 'stepped':
          metric.computed.add(event.prefillTokens - event.recomputedTokens)
          metric.recomputed.add(event.recomputedTokens)
          metric.generationTokens.add(event.outputTokens)
          metric.iteration.observe(event.prefillTokens + event.outputTokens)
          return
        case 'finished':
          finished(event)
          return
      }
    },
    accepted(n, maxTokens) {
      metric.paramsN.observe(n)
      metric.paramsMaxTokens.observe(maxTokens)
    },
    rejected: () => metric.rejections.add(1),
    served(handler, method, status, durationMs) {
      metric.httpRequests.with({ handler, method, status: `${Math.floor(status / 100)}xx` }).add(1)
      metric.httpDuration.with({ handler, method }).observe(durationMs / 1000)
    },
    text(stats, nowMs) {
      metric.running.set(stats.running)
      metric.waiting.set(stats.waiting)
      metric.forCapacity.set(stats.waiting - stats.waitingForAdapter)
      metric.deferred.set(stats.waitingForAdapter)
      metric.kvUsage.set(stats.kvUsage)
      metric.loraInfo
        ?.with({
          max_lora: String(options.maxLoras),
          running_lora_adapters: stats.runningAdapters.join(','),
          waiting_lora_adapters: stats.waitingAdapters.join(','),
        })
        .set(nowMs / 1000)
      return metric.registry.render()
    },
  }
}
