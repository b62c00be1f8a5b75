/** Bounds of the latency histograms, in seconds. */
const LATENCY_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
] as const

/** How a request ended, as counted. */
export type Outcome = 'stop' | 'length' | 'embedded' | 'refused' | 'aborted' | 'error'

const OUTCOMES: readonly Outcome[] = ['stop', 'length', 'embedded', 'refused', 'aborted', 'error']

class Histogram {
  readonly #counts = new Array<number>(LATENCY_BOUNDS.length + 1).fill(0)
  #sum = 0
  #count = 0

  observe(seconds: number): void {
    const at = LATENCY_BOUNDS.findIndex((bound) => seconds <= bound)
    const index = at < 0 ? LATENCY_BOUNDS.length : at
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
    this.#sum += seconds
    this.#count++
  }

  lines(name: string): string[] {
    let below = 0
    const buckets = LATENCY_BOUNDS.map((bound, index) => {
      below += this.#counts[index] ?? 0
      return `${name}_bucket{le="${bound}"} ${below}`
    })
    return [
      ...buckets,
      `${name}_bucket{le="+Inf"} ${this.#count}`,
      `${name}_sum ${this.#sum}`,
      `${name}_count ${this.#count}`,
    ]
  }
}

/** What is true now; asked for when the metrics are read. */
export interface Gauges {
  readonly requestsRunning: number
  readonly requestsWaiting: number
  readonly sequences: number
  /** Tokens of running requests over all that fit, 0 to 1. */
  readonly cacheUsageRatio: number
  readonly adapters: number
  readonly residentBytes: number
}

/** Counters of one engine process and their text for Prometheus. Names are part of the contract. */
export class Metrics {
  readonly timeToFirstToken = new Histogram()
  readonly interTokenLatency = new Histogram()
  readonly queueTime = new Histogram()
  readonly requestLatency = new Histogram()
  promptTokens = 0
  cachedPromptTokens = 0
  generationTokens = 0
  readonly #outcomes = new Map<Outcome, number>()

  count(outcome: Outcome): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
  }

  text(gauges: Gauges): string {
    const one = (name: string, type: string, help: string, value: number) =>
      metric(name, type, help, [`yard_engine_${name} ${value}`])
    const many = (name: string, help: string, histogram: Histogram) =>
      metric(name, 'histogram', help, histogram.lines(`yard_engine_${name}`))
    return `${[
      ...one('requests_running', 'gauge', 'Requests that have a sequence.', gauges.requestsRunning),
      ...one('requests_waiting', 'gauge', 'Requests that wait for a sequence.', gauges.requestsWaiting),
      ...one('sequences', 'gauge', 'Requests that can run at the same time.', gauges.sequences),
      ...one(
        'kv_cache_usage_ratio',
        'gauge',
        'Share of the cache held by running requests.',
        gauges.cacheUsageRatio,
      ),
      ...one('adapters', 'gauge', 'LoRA adapters that are loaded.', gauges.adapters),
      ...one('resident_memory_bytes', 'gauge', 'Memory of the process.', gauges.residentBytes),
      ...one('prompt_tokens_total', 'counter', 'Prompt tokens, cached ones too.', this.promptTokens),
      ...one(
        'cached_prompt_tokens_total',
        'counter',
        'Prompt tokens whose state was still there.',
        this.cachedPromptTokens,
      ),
      ...one('generation_tokens_total', 'counter', 'Tokens generated.', this.generationTokens),
      ...metric(
        'requests_total',
        'counter',
        'Requests that ended, by outcome.',
        OUTCOMES.map(
          (outcome) => `yard_engine_requests_total{outcome="${outcome}"} ${this.#outcomes.get(outcome) ?? 0}`,
        ),
      ),
      ...many('time_to_first_token_seconds', 'From arrival to the first token.', this.timeToFirstToken),
      ...many('inter_token_latency_seconds', 'Between two tokens of an answer.', this.interTokenLatency),
      ...many('queue_time_seconds', 'Wait for a sequence.', this.queueTime),
      ...many('request_latency_seconds', 'From arrival to the end.', this.requestLatency),
    ].join('\n')}\n`
  }
}

function metric(name: string, type: string, help: string, lines: readonly string[]): string[] {
  return [`# HELP yard_engine_${name} ${help}`, `# TYPE yard_engine_${name} ${type}`, ...lines]
}
