import { describe, expect, test } from 'vitest'
import { readEngineLoad, readEngineMetrics } from './engine-metrics.ts'

/** vLLM 0.32 with two data-parallel engines. */
const VLLM_NEW = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 3.0
vllm:num_requests_running{engine="1",model_name="qwen"} 5.0
vllm:num_requests_waiting{engine="0",model_name="qwen"} 1.0
vllm:num_requests_waiting{engine="1",model_name="qwen"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="qwen",reason="capacity"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="qwen"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="qwen"} 0.75
vllm:prefix_cache_queries_total{engine="0",model_name="qwen"} 100.0
vllm:prefix_cache_hits_total{engine="0",model_name="qwen"} 40.0
vllm:prefix_cache_hits_created{engine="0",model_name="qwen"} 1.7e+09
vllm:num_preemptions_total{engine="0",model_name="qwen"} 2.0
vllm:prompt_tokens_total{engine="0",model_name="qwen"} 1000.0
vllm:prompt_tokens_total{engine="1",model_name="qwen"} 500.0
vllm:prompt_tokens_by_source_total{engine="0",model_name="qwen",source="local_compute"} 900.0
vllm:generation_tokens_total{engine="0",model_name="qwen"} 200.0
vllm:generation_tokens_total{engine="1",model_name="qwen"} 22.0
vllm:request_success_total{engine="0",finished_reason="stop",model_name="qwen"} 7.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="qwen"} 3.0
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="qwen"} 10.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="qwen"} 4.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="qwen"} 10.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="qwen"} 10.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="qwen"} 3.5
vllm:inter_token_latency_seconds_bucket{engine="0",le="+Inf",model_name="qwen"} 9.0
vllm:inter_token_latency_seconds_count{engine="0",model_name="qwen"} 9.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="qwen"} 0.9
`

/** vLLM 0.8: other names for the cache and the time between tokens, and both names of the cache in 0.9. */
const VLLM_OLD = `vllm:num_requests_running{model_name="qwen"} 2.0
vllm:num_requests_waiting{model_name="qwen"} 4.0
vllm:num_requests_swapped{model_name="qwen"} 0.0
vllm:gpu_cache_usage_perc{model_name="qwen"} 0.5
vllm:cpu_cache_usage_perc{model_name="qwen"} 0.9
vllm:gpu_prefix_cache_hits_total{model_name="qwen"} 11.0
vllm:prompt_tokens_total{model_name="qwen"} 10.0
vllm:generation_tokens_total{model_name="qwen"} 20.0
vllm:time_per_output_token_seconds_bucket{le="+Inf",model_name="qwen"} 5.0
vllm:time_per_output_token_seconds_sum{model_name="qwen"} 0.5
vllm:time_per_output_token_seconds_count{model_name="qwen"} 5.0
`

/** SGLang with two data-parallel ranks, each reported by both of its tensor-parallel ranks. */
const SGLANG = ['0', '1']
  .flatMap((dp) =>
    ['0', '1'].map(
      (
        tp,
      ) => `sglang:num_running_reqs{dp_rank="${dp}",engine_type="unified",model_name="m",tp_rank="${tp}"} 4.0
sglang:num_queue_reqs{dp_rank="${dp}",engine_type="unified",model_name="m",tp_rank="${tp}"} ${dp}.0
sglang:token_usage{dp_rank="${dp}",engine_type="unified",model_name="m",tp_rank="${tp}"} 0.${dp}5
`,
    ),
  )
  .join('')
  .concat(`sglang:prompt_tokens_total{model_name="m"} 8
sglang:generation_tokens_total{model_name="m"} 70
sglang:cached_tokens_total{cache_source="device",model_name="m"} 3
sglang:cached_tokens_total{cache_source="host",model_name="m"} 2
sglang:cached_tokens_total{cache_source="total",model_name="m"} 5
sglang:num_requests_total{model_name="m"} 6
`)

/** llama-server 0.5.0: no labels, no use of the cache. */
const LLAMA_SERVER = `# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 42
llamacpp:prompt_tokens_cached_total 7
llamacpp:tokens_predicted_total 84
llamacpp:requests_processing 2
llamacpp:requests_deferred 3
llamacpp:n_busy_slots_per_decode 1.5
`

describe('the load is read from', () => {
  test('vLLM of today, its engines summed and the fullest cache taken', () => {
    expect(readEngineLoad('vllm', VLLM_NEW)).toEqual({
      running: 8,
      waiting: 1,
      kvUsed: 0.75,
      promptTokensTotal: 1500,
      generationTokensTotal: 222,
      cachedTokensTotal: 40,
      preemptionsTotal: 2,
    })
    expect(readEngineLoad('sim', VLLM_NEW)).toEqual(readEngineLoad('vllm', VLLM_NEW))
  })

  test('vLLM before 0.9.2', () => {
    expect(readEngineLoad('vllm', VLLM_OLD)).toEqual({
      running: 2,
      waiting: 4,
      kvUsed: 0.5,
      promptTokensTotal: 10,
      generationTokensTotal: 20,
      cachedTokensTotal: 11,
    })
  })

  test('a version that has both names of a measure, once', () => {
    const both = `${VLLM_OLD}vllm:kv_cache_usage_perc{model_name="qwen"} 0.6\n`
    expect(readEngineLoad('vllm', both).kvUsed).toBe(0.6)
  })

  test('SGLang, a rank that repeats another counted once', () => {
    expect(readEngineLoad('sglang', SGLANG)).toEqual({
      running: 8,
      waiting: 1,
      kvUsed: 0.15,
      promptTokensTotal: 8,
      generationTokensTotal: 70,
      cachedTokensTotal: 5,
    })
  })

  test('llama-server, without what it does not tell', () => {
    expect(readEngineLoad('llama-server', LLAMA_SERVER)).toEqual({
      running: 2,
      waiting: 3,
      promptTokensTotal: 42,
      generationTokensTotal: 84,
      cachedTokensTotal: 7,
    })
    expect(readEngineLoad('llama-server', `${LLAMA_SERVER}llamacpp:kv_cache_usage_ratio 0.3\n`).kvUsed).toBe(
      0.3,
    )
  })

  test('our own engine', () => {
    expect(
      readEngineLoad('llama', 'yard_engine_requests_running 1\nyard_engine_kv_cache_usage_ratio 1.2\n'),
    ).toEqual({
      running: 1,
      kvUsed: 1,
    })
  })

  test('a program that may be any of them', () => {
    expect(readEngineLoad('command', LLAMA_SERVER).running).toBe(2)
    expect(readEngineLoad('command', VLLM_NEW).running).toBe(8)
  })

  test('no page at all, as nothing known', () => {
    expect(readEngineLoad('vllm', '')).toEqual({})
    expect(readEngineLoad('vllm', '<html>not metrics</html>')).toEqual({})
    expect(readEngineLoad('vllm', 'vllm:num_requests_running NaN\n')).toEqual({})
  })
})

describe('measures have one set of names', () => {
  test('across engines and versions', () => {
    const names = (engine: 'vllm' | 'sglang' | 'llama-server', page: string) =>
      readEngineMetrics(engine, page).map((metric) => metric.name)
    expect(names('vllm', VLLM_NEW)).toEqual([
      'yard_engine_requests_running',
      'yard_engine_requests_waiting',
      'yard_engine_kv_cache_usage_ratio',
      'yard_engine_prompt_tokens_total',
      'yard_engine_generation_tokens_total',
      'yard_engine_prompt_tokens_cached_total',
      'yard_engine_preemptions_total',
      'yard_engine_requests_total',
      'yard_engine_time_to_first_token_seconds',
      'yard_engine_inter_token_latency_seconds',
    ])
    expect(names('vllm', VLLM_OLD)).toContain('yard_engine_inter_token_latency_seconds')
    expect(names('sglang', SGLANG)).toContain('yard_engine_requests_total')
    expect(names('llama-server', LLAMA_SERVER)).not.toContain('yard_engine_kv_cache_usage_ratio')
  })

  test('counts over labels are summed and histograms kept whole', () => {
    const metrics = new Map(readEngineMetrics('vllm', VLLM_NEW).map((metric) => [metric.name, metric]))
    expect(metrics.get('yard_engine_requests_total')).toMatchObject({ kind: 'counter', value: 10 })
    expect(metrics.get('yard_engine_time_to_first_token_seconds')).toEqual({
      kind: 'histogram',
      name: 'yard_engine_time_to_first_token_seconds',
      histogram: {
        buckets: [
          { atMost: 0.1, count: 4 },
          { atMost: Number.POSITIVE_INFINITY, count: 10 },
        ],
        sum: 3.5,
        count: 10,
      },
    })
  })
})
