import { describe, expect, it } from 'vitest'
import { oneTwoFive } from './metric-families.ts'
import { createRegistry } from './prometheus.ts'
import { aSim, samples, user } from './sim-world.testing.ts'

/** The names of engines.md §1.6, as they stand on the wire. */
const GAUGES = [
  'num_requests_running',
  'num_requests_waiting',
  'num_requests_waiting_by_reason',
  'kv_cache_usage_perc',
  'engine_sleep_state',
  'cache_config_info',
  'lora_requests_info',
]
const COUNTERS = [
  'prefix_cache_queries',
  'prefix_cache_hits',
  'external_prefix_cache_queries',
  'external_prefix_cache_hits',
  'mm_cache_queries',
  'mm_cache_hits',
  'num_preemptions',
  'prompt_tokens',
  'prompt_tokens_by_source',
  'prompt_tokens_cached',
  'prompt_tokens_recomputed',
  'generation_tokens',
  'request_success',
  'admission_rejections',
]
const HISTOGRAMS = [
  'time_to_first_token_seconds',
  'inter_token_latency_seconds',
  'request_time_per_output_token_seconds',
  'e2e_request_latency_seconds',
  'request_queue_time_seconds',
  'request_inference_time_seconds',
  'request_prefill_time_seconds',
  'request_decode_time_seconds',
  'request_prompt_tokens',
  'request_generation_tokens',
  'request_max_num_generation_tokens',
  'request_params_n',
  'request_params_max_tokens',
  'iteration_tokens_total',
  'request_prefill_kv_computed_tokens',
]
const LABELS = '{engine="0",model_name="demo"}'

function typesOf(page: string): Map<string, string> {
  return new Map(
    [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type] as const),
  )
}

describe('/metrics', () => {
  it('has the families of vLLM, each with its type and label names', async () => {
    const { get, text } = aSim({ enableLora: true })
    const page = await text(get('/metrics'))
    const types = typesOf(page)
    for (const name of GAUGES) expect(types.get(`vllm:${name}`), name).toBe('gauge')
    for (const name of COUNTERS) expect(types.get(`vllm:${name}_total`), name).toBe('counter')
    for (const name of HISTOGRAMS) expect(types.get(`vllm:${name}`), name).toBe('histogram')
    const known = new Set([
      ...GAUGES,
      ...COUNTERS.flatMap((name) => [`${name}_total`, `${name}_created`]),
      ...HISTOGRAMS.flatMap((name) => [name, `${name.replace(/_total$/, '')}_created`]),
    ])
    for (const name of types.keys())
      if (name.startsWith('vllm:')) expect(known.has(name.slice('vllm:'.length)), name).toBe(true)
    for (const line of page.split('\n').filter((text) => text.startsWith('vllm:')))
      if (!/^vllm:(lora_requests_info|cache_config_info)/.test(line))
        expect(line).toMatch(
          /\{engine="0",(\w+="[^"]*",)?(le="[^"]*",)?(finished_reason="\w+",)?model_name="demo"/,
        )
  })

  it('has a line for every sample that a scraper can read', async () => {
    const { get, text, chat } = aSim()
    await text(chat({ max_tokens: 5 }))
    const page = await text(get('/metrics'))
    for (const line of page.trimEnd().split('\n'))
      expect(line).toMatch(
        /^(# (HELP|TYPE) \S+ .+|[a-z0-9_:]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\+Inf|-?\d+(\.\d+)?(e[+-]\d+)?))$/,
      )
    expect(page.endsWith('\n')).toBe(true)
  })

  it('counts what happened', async () => {
    const { chat, json, get, text } = aSim()
    const long = user('where did the old machine stand '.repeat(30))
    const first = await json(chat({ messages: [long], max_tokens: 20, ignore_eos: true }))
    const second = await json(chat({ messages: [long], max_tokens: 20, ignore_eos: true }))
    const page = samples(await text(get('/metrics')))
    const prompt = first.body.usage.prompt_tokens
    const cached = second.body.usage.prompt_tokens_details.cached_tokens
    expect(cached).toBeGreaterThan(0)
    expect(page.get(`vllm:prompt_tokens_total${LABELS}`)).toBe(2 * prompt)
    expect(page.get(`vllm:generation_tokens_total${LABELS}`)).toBe(40)
    expect(page.get(`vllm:prefix_cache_queries_total${LABELS}`)).toBe(2 * prompt)
    expect(page.get(`vllm:prefix_cache_hits_total${LABELS}`)).toBe(cached)
    expect(
      page.get('vllm:prompt_tokens_by_source_total{engine="0",model_name="demo",source="local_compute"}'),
    ).toBe(2 * prompt - cached)
    expect(
      page.get('vllm:request_success_total{engine="0",finished_reason="length",model_name="demo"}'),
    ).toBe(2)
    expect(page.get(`vllm:time_to_first_token_seconds_count${LABELS}`)).toBe(2)
    expect(page.get(`vllm:time_to_first_token_seconds_sum${LABELS}`)).toBeCloseTo(0.02)
    expect(page.get(`vllm:inter_token_latency_seconds_count${LABELS}`)).toBe(38)
    expect(page.get(`vllm:inter_token_latency_seconds_sum${LABELS}`)).toBeCloseTo(0.38)
    expect(page.get('vllm:inter_token_latency_seconds_bucket{engine="0",le="0.025",model_name="demo"}')).toBe(
      38,
    )
    expect(page.get('vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="demo"}')).toBe(2)
    expect(page.get('http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"}')).toBe(2)
  })

  it('shows running, waiting and the use of the cache while it works', async () => {
    const { chat, clock, get, run } = aSim({ maxNumSeqs: 2 })
    const answers = [1, 2, 3].map(() => chat({ max_tokens: 30, ignore_eos: true }))
    await clock.advance(15)
    const page = samples(await (await get('/metrics')).text())
    expect(page.get(`vllm:num_requests_running${LABELS}`)).toBe(2)
    expect(page.get(`vllm:num_requests_waiting${LABELS}`)).toBe(1)
    expect(page.get(`vllm:kv_cache_usage_perc${LABELS}`)).toBeGreaterThan(0)
    await run(Promise.all(answers))
  })

  it('names the configuration of the cache', async () => {
    const { get, text } = aSim()
    expect(await text(get('/metrics'))).toMatch(
      /^vllm:cache_config_info\{block_size="16",.*engine="0",.*num_gpu_blocks="256".*\} 1\.0$/m,
    )
  })
})

describe('the metrics text', () => {
  it('prints numbers as prometheus_client does', () => {
    const registry = createRegistry(1_700_000_000)
    const gauge = registry.gauge('g', 'A gauge.')
    const printed = (value: number) => {
      gauge.with({}).set(value)
      return /^g (.*)$/m.exec(registry.render())?.[1]
    }
    expect([0, 1, 0.25, 1_000_000, 1_234_567.5, 1e9, 123_456].map(printed)).toEqual([
      '0.0',
      '1.0',
      '0.25',
      '1e+06',
      '1.2345675e+06',
      '1e+09',
      '123456.0',
    ])
  })

  it('escapes label values and keeps only so many label sets', () => {
    const registry = createRegistry(0)
    const family = registry.gauge('g', 'A gauge.')
    family.with({ name: 'a"b\\c\nd' }).set(1)
    expect(registry.render()).toContain('g{name="a\\"b\\\\c\\nd"} 1.0')
    for (let n = 0; n < 300; n++) family.with({ name: String(n) }).set(n)
    expect(registry.render().split('\n').length).toBeLessThan(110)
  })

  it('has the buckets of vLLM for lengths', () => {
    expect(oneTwoFive(100)).toEqual([1, 2, 5, 10, 20, 50, 100])
    expect(oneTwoFive(2048)).toEqual([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000])
  })
})
