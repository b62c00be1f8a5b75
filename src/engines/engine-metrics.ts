import type { EngineName } from '../domain/engine-name.ts'
import type { EngineLoad } from './engine.ts'
import { type Histogram, histogramOf, parsePrometheusText, type Sample } from './prometheus-text.ts'

/** One measure under the name that all engines share. Histograms are in seconds. */
export type EngineMetric =
  | {
      readonly kind: 'gauge' | 'counter'
      readonly name: string
      readonly value: number
    }
  | { readonly kind: 'histogram'; readonly name: string; readonly histogram: Histogram }

/** A measure and what each engine calls it, newest name first. The first that a page has is taken. */
interface Row {
  readonly name: string
  readonly kind: EngineMetric['kind']
  /** How the samples of several data-parallel engines come to one. */
  readonly combine: 'sum' | 'max'
  readonly vllm: readonly string[]
  readonly sglang: readonly string[]
  readonly llamaCpp: readonly string[]
}

/**
 * Sources: vllm/v1/metrics/loggers.py and the renames in engines.md §1.6 (`gpu_cache_usage_perc` before 0.9.2,
 * `time_per_output_token_seconds` before 0.11.0); SGLang's metrics_collector.py (§2); llama-server's README and a
 * running 0.5.0 (§3.5; its `kv_cache_usage_ratio` is gone since). llama.cpp's prompt counter leaves cached tokens out.
 */
const ROWS = [
  row('requests_running', 'gauge', 'sum', {
    vllm: 'vllm:num_requests_running',
    sglang: 'sglang:num_running_reqs',
    llamaCpp: 'llamacpp:requests_processing',
  }),
  row('requests_waiting', 'gauge', 'sum', {
    vllm: 'vllm:num_requests_waiting',
    sglang: 'sglang:num_queue_reqs',
    llamaCpp: 'llamacpp:requests_deferred',
  }),
  row('kv_cache_usage_ratio', 'gauge', 'max', {
    vllm: 'vllm:kv_cache_usage_perc vllm:gpu_cache_usage_perc',
    sglang: 'sglang:token_usage',
    llamaCpp: 'llamacpp:kv_cache_usage_ratio',
  }),
  row('prompt_tokens_total', 'counter', 'sum', {
    vllm: 'vllm:prompt_tokens_total vllm:prompt_tokens',
    sglang: 'sglang:prompt_tokens_total',
    llamaCpp: 'llamacpp:prompt_tokens_total',
  }),
  row('generation_tokens_total', 'counter', 'sum', {
    vllm: 'vllm:generation_tokens_total vllm:generation_tokens',
    sglang: 'sglang:generation_tokens_total',
    llamaCpp: 'llamacpp:tokens_predicted_total',
  }),
  row('prompt_tokens_cached_total', 'counter', 'sum', {
    vllm: 'vllm:prefix_cache_hits_total vllm:prefix_cache_hits vllm:gpu_prefix_cache_hits_total vllm:gpu_prefix_cache_hits',
    sglang: 'sglang:cached_tokens_total',
    llamaCpp: 'llamacpp:prompt_tokens_cached_total',
  }),
  row('preemptions_total', 'counter', 'sum', {
    vllm: 'vllm:num_preemptions_total vllm:num_preemptions',
    sglang: 'sglang:num_retracted_requests_total',
    llamaCpp: '',
  }),
  row('requests_total', 'counter', 'sum', {
    vllm: 'vllm:request_success_total vllm:request_success',
    sglang: 'sglang:num_requests_total',
    llamaCpp: '',
  }),
  row('time_to_first_token_seconds', 'histogram', 'sum', {
    vllm: 'vllm:time_to_first_token_seconds',
    sglang: 'sglang:time_to_first_token_seconds',
    llamaCpp: '',
  }),
  row('inter_token_latency_seconds', 'histogram', 'sum', {
    vllm: 'vllm:inter_token_latency_seconds vllm:time_per_output_token_seconds',
    sglang: 'sglang:inter_token_latency_seconds sglang:time_per_output_token_seconds',
    llamaCpp: '',
  }),
  row('request_duration_seconds', 'histogram', 'sum', {
    vllm: 'vllm:e2e_request_latency_seconds',
    sglang: 'sglang:e2e_request_latency_seconds',
    llamaCpp: '',
  }),
  row('queue_time_seconds', 'histogram', 'sum', {
    vllm: 'vllm:request_queue_time_seconds',
    sglang: 'sglang:queue_time_seconds',
    llamaCpp: '',
  }),
]

const LOAD_NAMES: readonly (readonly [keyof EngineLoad, string])[] = [
  ['running', 'yard_engine_requests_running'],
  ['waiting', 'yard_engine_requests_waiting'],
  ['kvUsed', 'yard_engine_kv_cache_usage_ratio'],
  ['promptTokensTotal', 'yard_engine_prompt_tokens_total'],
  ['generationTokensTotal', 'yard_engine_generation_tokens_total'],
  ['cachedTokensTotal', 'yard_engine_prompt_tokens_cached_total'],
  ['preemptionsTotal', 'yard_engine_preemptions_total'],
]

/** `any`: a program that may be any of them. */
type Dialect = 'vllm' | 'sglang' | 'llamaCpp' | 'ours' | 'any'

/** What an engine's page says, under one set of names (`yard_engine_…`). What it does not say is left out. */
export function readEngineMetrics(engine: EngineName, metricsText: string): readonly EngineMetric[] {
  return read(dialectOf(engine), metricsText, ROWS)
}

/** The load of an engine from its page: running and waiting are summed over its parts, cache use is the fullest's. */
export function readEngineLoad(engine: EngineName, metricsText: string): EngineLoad {
  const wanted = new Map(LOAD_NAMES.map(([field, name]) => [name, field]))
  const rows = ROWS.filter((candidate) => wanted.has(candidate.name))
  const load: { -readonly [Field in keyof EngineLoad]: EngineLoad[Field] } = {}
  for (const metric of read(dialectOf(engine), metricsText, rows)) {
    const field = wanted.get(metric.name)
    if (metric.kind !== 'histogram' && field !== undefined) {
      load[field] = field === 'kvUsed' ? Math.min(1, metric.value) : metric.value
    }
  }
  return load
}

function read(dialect: Dialect, metricsText: string, rows: readonly Row[]): readonly EngineMetric[] {
  const names = new Set(
    rows.flatMap((each) => namesIn(dialect, each).flatMap((name) => wireNames(name, each))),
  )
  const { samples } = parsePrometheusText(metricsText, { names })
  const found: EngineMetric[] = []
  for (const each of rows) {
    const metric = measure(each, namesIn(dialect, each), samples)
    if (metric) found.push(metric)
  }
  return found
}

function measure(each: Row, names: readonly string[], samples: readonly Sample[]): EngineMetric | undefined {
  for (const name of names) {
    if (each.kind === 'histogram') {
      const histogram = histogramOf(samples, name)
      if (histogram) return { kind: 'histogram', name: each.name, histogram }
      continue
    }
    const values = partsOf(samples.filter((sample) => sample.name === name))
    if (values.length === 0) continue
    const value = each.combine === 'sum' ? values.reduce((a, b) => a + b, 0) : Math.max(...values)
    return { kind: each.kind, name: each.name, value }
  }
  return undefined
}

/** Labels by which SGLang's ranks repeat one measurement when all of them report. */
const RANK_LABELS: ReadonlySet<string> = new Set(['tp_rank', 'pp_rank', 'moe_ep_rank', 'pid'])

/** One value for each thing measured: copies by rank count once, and where a `total` stands beside its parts it wins. */
function partsOf(samples: readonly Sample[]): readonly number[] {
  const parts = new Map<string, number>()
  const totals = samples.filter((sample) => sample.labels.cache_source === 'total')
  for (const sample of totals.length > 0 ? totals : samples) {
    if (!Number.isFinite(sample.value)) continue
    const measured = Object.entries(sample.labels)
      .filter(([label]) => !RANK_LABELS.has(label))
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const key = JSON.stringify(measured)
    parts.set(key, Math.max(parts.get(key) ?? Number.NEGATIVE_INFINITY, sample.value))
  }
  return [...parts.values()]
}

function dialectOf(engine: EngineName): Dialect {
  switch (engine) {
    case 'sglang':
      return 'sglang'
    case 'llama-server':
      return 'llamaCpp'
    case 'llama':
      return 'ours'
    case 'command':
    case 'external':
      return 'any'
    case 'vllm':
    case 'sim':
      return 'vllm'
  }
}

function namesIn(dialect: Dialect, each: Row): readonly string[] {
  if (dialect === 'ours') return [each.name]
  return dialect === 'any' ? [...each.vllm, ...each.sglang, ...each.llamaCpp, each.name] : each[dialect]
}

function wireNames(name: string, each: Row): readonly string[] {
  return each.kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
}

function row(
  name: string,
  kind: EngineMetric['kind'],
  combine: Row['combine'],
  aliases: Readonly<Record<'vllm' | 'sglang' | 'llamaCpp', string>>,
): Row {
  const words = (text: string) => text.split(' ').filter((name) => name !== '')
  return {
    name: `yard_engine_${name}`,
    kind,
    combine,
    vllm: words(aliases.vllm),
    sglang: words(aliases.sglang),
    llamaCpp: words(aliases.llamaCpp),
  }
}
