import { createRegistry } from './prometheus.ts'

export interface MetricOptions {
  /** The first served name: the `model_name` label. */
  readonly modelName: string
  readonly maxModelLen: number
  readonly numBlocks: number
  readonly blockSize: number
  readonly gpuMemoryUtilization: number
  readonly prefixCaching: boolean
  /** Undefined when LoRA is off: `vllm:lora_requests_info` does not exist then. */
  readonly maxLoras: number | undefined
  /** Unix time of the start, milliseconds. */
  readonly startedAtMs: number
}

/**
 * The families of vLLM's `/metrics` (v1/metrics/loggers.py, as of 0.32): names, labels, help and buckets.
 * Counters of features that are not simulated exist and stay zero, as they do in a vLLM that does not use them.
 */
export function createMetricFamilies(options: MetricOptions) {
  const { modelName, maxModelLen } = options
  const labels = { engine: '0', model_name: modelName }
  const registry = createRegistry(options.startedAtMs / 1000)
  const gauge = (name: string, help: string, more = {}) =>
    registry.gauge(name, help).with({ ...labels, ...more })
  const counter = (name: string, help: string) => registry.counter(name, help).with(labels)
  const histogram = (name: string, help: string, buckets: readonly number[]) =>
    registry.histogram(name, help, buckets).with(labels)
  const lengths = oneTwoFive(maxModelLen)

  const running = gauge('vllm:num_requests_running', 'Number of requests in model execution batches.')
  const waiting = gauge('vllm:num_requests_waiting', 'Number of requests waiting to be processed.')
  const byReason = registry.gauge(
    'vllm:num_requests_waiting_by_reason',
    'Number of waiting requests by reason.',
  )
  const forCapacity = byReason.with({ ...labels, reason: 'capacity' })
  const deferred = byReason.with({ ...labels, reason: 'deferred' })
  const sleep = registry.gauge('vllm:engine_sleep_state', 'Engine sleep state.')
  sleep.with({ ...labels, sleep_state: 'awake' }).set(1)
  sleep.with({ ...labels, sleep_state: 'weights_offloaded' }).set(0)
  sleep.with({ ...labels, sleep_state: 'discard_all' }).set(0)
  const kvUsage = gauge('vllm:kv_cache_usage_perc', 'KV-cache usage. 1 means 100 percent usage.')

  const queries = counter('vllm:prefix_cache_queries', 'Prefix cache queries, in number of queried tokens.')
  const hits = counter('vllm:prefix_cache_hits', 'Prefix cache hits, in number of cached tokens.')
  counter('vllm:external_prefix_cache_queries', 'External prefix cache queries, in number of queried tokens.')
  counter('vllm:external_prefix_cache_hits', 'External prefix cache hits, in number of cached tokens.')
  counter('vllm:mm_cache_queries', 'Multi-modal cache queries, in number of queried items.')
  counter('vllm:mm_cache_hits', 'Multi-modal cache hits, in number of cached items.')
  const preemptions = counter('vllm:num_preemptions', 'Cumulative number of preemption from the engine.')
  const promptTokens = counter('vllm:prompt_tokens', 'Number of prefill tokens processed.')
  const bySource = registry.counter('vllm:prompt_tokens_by_source', 'Number of prompt tokens by source.')
  const computed = bySource.with({ ...labels, source: 'local_compute' })
  const fromCache = bySource.with({ ...labels, source: 'local_cache_hit' })
  bySource.with({ ...labels, source: 'external_kv_transfer' })
  const cachedTokens = counter('vllm:prompt_tokens_cached', 'Number of cached prompt tokens.')
  const recomputed = counter('vllm:prompt_tokens_recomputed', 'Number of prompt tokens recomputed.')
  const generationTokens = counter('vllm:generation_tokens', 'Number of generation tokens processed.')
  const success = registry.counter('vllm:request_success', 'Count of successfully processed requests.')
  const successes = {
    stop: success.with({ ...labels, finished_reason: 'stop' }),
    length: success.with({ ...labels, finished_reason: 'length' }),
    abort: success.with({ ...labels, finished_reason: 'abort' }),
    error: success.with({ ...labels, finished_reason: 'error' }),
  }
  const rejections = registry
    .counter('vllm:admission_rejections', 'Requests rejected at admission.')
    .with({ ...labels, reason: 'max_num_queued_reqs' })

  const requestPrompt = histogram(
    'vllm:request_prompt_tokens',
    'Number of prefill tokens processed.',
    lengths,
  )
  const requestOutput = histogram(
    'vllm:request_generation_tokens',
    'Number of generation tokens processed.',
    lengths,
  )
  const iteration = histogram(
    'vllm:iteration_tokens_total',
    'Histogram of number of tokens per engine_step.',
    ITERATION,
  )
  const mostOutput = histogram(
    'vllm:request_max_num_generation_tokens',
    'Histogram of maximum number of requested generation tokens.',
    lengths,
  )
  const paramsN = histogram(
    'vllm:request_params_n',
    'Histogram of the n request parameter.',
    [1, 2, 5, 10, 20],
  )
  const paramsMaxTokens = histogram(
    'vllm:request_params_max_tokens',
    'Histogram of the max_tokens request parameter.',
    lengths,
  )
  const ttft = histogram(
    'vllm:time_to_first_token_seconds',
    'Histogram of time to first token in seconds.',
    TTFT,
  )
  const itl = histogram(
    'vllm:inter_token_latency_seconds',
    'Histogram of inter-token latency in seconds.',
    ITL,
  )
  const tpot = histogram(
    'vllm:request_time_per_output_token_seconds',
    'Histogram of time per output token in seconds per request.',
    ITL,
  )
  const e2e = histogram(
    'vllm:e2e_request_latency_seconds',
    'Histogram of e2e request latency in seconds.',
    LATENCY,
  )
  const queueTime = histogram(
    'vllm:request_queue_time_seconds',
    'Histogram of time spent in WAITING phase for request.',
    LATENCY,
  )
  const inferenceTime = histogram(
    'vllm:request_inference_time_seconds',
    'Histogram of time spent in RUNNING phase for request.',
    LATENCY,
  )
  const prefillTime = histogram(
    'vllm:request_prefill_time_seconds',
    'Histogram of time spent in PREFILL phase for request.',
    LATENCY,
  )
  const decodeTime = histogram(
    'vllm:request_decode_time_seconds',
    'Histogram of time spent in DECODE phase for request.',
    LATENCY,
  )
  const prefillComputed = histogram(
    'vllm:request_prefill_kv_computed_tokens',
    'Histogram of new KV tokens computed during prefill (excluding cached tokens).',
    lengths,
  )
  registry
    .gauge('vllm:cache_config_info', 'Information of the LLMEngine CacheConfig')
    .with({
      block_size: String(options.blockSize),
      cache_dtype: 'auto',
      enable_prefix_caching: options.prefixCaching ? 'True' : 'False',
      engine: '0',
      gpu_memory_utilization: String(options.gpuMemoryUtilization),
      num_gpu_blocks: String(options.numBlocks),
      prefix_caching_hash_algo: 'sha256',
    })
    .set(1)
  const loraInfo =
    options.maxLoras === undefined
      ? undefined
      : registry.gauge('vllm:lora_requests_info', 'Running stats on lora requests.')
  const httpRequests = registry.counter(
    'http_requests',
    'Total number of requests by method, status and handler.',
  )
  const httpDuration = registry.histogram(
    'http_request_duration_seconds',
    'Latency with only few buckets by handler.',
    [0.1, 0.5, 1],
  )

  return {
    registry,
    running,
    waiting,
    forCapacity,
    deferred,
    kvUsage,
    queries,
    hits,
    preemptions,
    promptTokens,
    computed,
    fromCache,
    cachedTokens,
    recomputed,
    generationTokens,
    successes,
    rejections,
    requestPrompt,
    requestOutput,
    iteration,
    mostOutput,
    paramsN,
    paramsMaxTokens,
    ttft,
    itl,
    tpot,
    e2e,
    queueTime,
    inferenceTime,
    prefillTime,
    decodeTime,
    prefillComputed,
    loraInfo,
    httpRequests,
    httpDuration,
  }
}

/** 1, 2, 5, 10, 20, … up to and including `most`: vLLM's build_1_2_5_buckets. */
export function oneTwoFive(most: number): number[] {
  const buckets: number[] = []
  for (let power = 1; power <= most; power *= 10)
    for (const digit of [1, 2, 5]) if (digit * power <= most) buckets.push(digit * power)
  return buckets
}

const ITERATION = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384]
const TTFT = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
  2560,
]
const ITL = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80]
const LATENCY = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680]
