import { type Exchange, sendJson, sendText } from './exchange.ts'
import type { Gauges } from './metrics.ts'
import type { Finished, Serving } from './serving.ts'

/** `/v1/models`: the model under each of its names, then the adapters with the model as their parent. */
export function serveModels(serving: Serving, exchange: Exchange): Finished {
  const [base] = serving.options.servedNames
  const card = (id: string, parent: string | null) => ({
    id,
    object: 'model',
    created: Math.floor(serving.loadedAtMs / 1000),
    owned_by: 'yardmaster',
    root: base,
    parent,
    max_model_len: serving.contextTokens,
  })
  const adapters = serving.task.kind === 'text' ? serving.task.lanes.adapterNames : []
  sendJson(exchange, 200, {
    object: 'list',
    data: [
      ...serving.options.servedNames.map((name) => card(name, null)),
      ...adapters.map((name) => card(name, base)),
    ],
  })
  return { kind: 'finished', outcome: 'other' }
}

/** `/metrics` for Prometheus. */
export function serveMetrics(serving: Serving, exchange: Exchange, waiting: number): Finished {
  sendText(exchange, 200, serving.metrics.text(gauges(serving, waiting)), 'text/plain; version=0.0.4')
  return { kind: 'finished', outcome: 'other' }
}

function gauges({ task, options, contextTokens }: Serving, requestsWaiting: number): Gauges {
  const common = { requestsWaiting, residentBytes: process.memoryUsage.rss() }
  if (task.kind === 'embeddings') {
    const { busy, slots } = task.pool
    return {
      ...common,
      requestsRunning: busy.length,
      sequences: slots.length,
      cacheUsageRatio: busy.length / slots.length,
      adapters: 0,
    }
  }
  const lanes = task.lanes.all
  const busy = lanes.flatMap(({ pool }) => pool.busy)
  const held = busy.reduce((sum, sequence) => sum + sequence.held, 0)
  const sequences = lanes.length * options.parallel
  return {
    ...common,
    requestsRunning: busy.length,
    sequences,
    cacheUsageRatio: held / (sequences * contextTokens),
    adapters: task.lanes.adapterNames.length,
  }
}
