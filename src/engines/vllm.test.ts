import { describe, expect, test } from 'vitest'
import { CREDENTIAL, GIB, gpu, launchOf, templateOf } from './launch.testing.ts'
import { loraRank, memoryUtilization, vllm } from './vllm.ts'

const two = [gpu(0, { index: 0 }), gpu(1, { index: 1 })]

test('a model on two devices with adapters', () => {
  const { file, argv, env } = vllm.command(
    launchOf({
      devices: two,
      bytesPerDevice: 40 * GIB,
      contextTokens: 8192,
      maxConcurrency: 64,
      adapters: [
        { name: 'fr', path: '/l/fr', rank: 24 },
        { name: 'de', path: '/l/a=b', rank: 8 },
      ],
      engineArgs: {
        'enable-prefix-caching': false,
        'tool-call-parser': 'hermes',
        'enable-auto-tool-choice': true,
      },
    }),
  )
  expect(file).toBe('vllm')
  expect(argv).toEqual([
    'serve',
    '/models/qwen',
    '--host=127.0.0.1',
    '--port=20001',
    '--served-model-name=qwen',
    '--max-model-len=8192',
    '--max-num-seqs=64',
    '--tensor-parallel-size=2',
    '--gpu-memory-utilization=0.5',
    '--enable-prompt-tokens-details',
    '--enable-lora',
    '--max-loras=2',
    '--max-cpu-loras=8',
    '--max-lora-rank=32',
    '--no-enable-prefix-caching',
    '--tool-call-parser=hermes',
    '--enable-auto-tool-choice',
    '--lora-modules',
    '{"name":"fr","path":"/l/fr"}',
    '{"name":"de","path":"/l/a=b"}',
  ])
  expect(env).toEqual({
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '0,1',
    VLLM_API_KEY: CREDENTIAL,
    VLLM_NO_USAGE_STATS: '1',
    VLLM_HOST_IP: '127.0.0.1',
    VLLM_CACHE_ROOT: '/var/lib/yard/cache/vllm',
    TRITON_CACHE_DIR: '/var/lib/yard/cache/triton',
    OMP_NUM_THREADS: '1',
    SAFETENSORS_FAST_GPU: '1',
    DO_NOT_TRACK: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_OFFLINE: '1',
    TRANSFORMERS_OFFLINE: '1',
    VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True',
  })
})

test('a model of the hub, at a revision, for embeddings', () => {
  const { argv, env } = vllm.command(
    launchOf({ modelRef: 'BAAI/bge-m3', revision: 'abc123', devices: [gpu(0)], embeddings: true }),
  )
  expect(argv).toEqual([
    'serve',
    'BAAI/bge-m3',
    '--host=127.0.0.1',
    '--port=20001',
    '--served-model-name=qwen',
    '--revision=abc123',
    '--tensor-parallel-size=1',
    '--enable-prompt-tokens-details',
    '--runner=pooling',
  ])
  expect(env).not.toHaveProperty('HF_HUB_OFFLINE')
  expect(env).not.toHaveProperty('VLLM_ALLOW_RUNTIME_LORA_UPDATING')
})

test('a tokenizer of the hub keeps the hub open for a local model', () => {
  const { env } = vllm.command(
    launchOf({ modelRef: '/m/x.gguf', engineArgs: { tokenizer: 'Qwen/Qwen3-8B' } }),
  )
  expect(env).not.toHaveProperty('HF_HUB_OFFLINE')
})

test('a flag given by hand wins over what would be derived', () => {
  const { argv } = vllm.command(
    launchOf({
      devices: [...two, gpu(2), gpu(3)],
      bytesPerDevice: 40 * GIB,
      engineArgs: { 'gpu-memory-utilization': 0.7, 'pipeline-parallel-size': 2 },
    }),
  )
  expect(argv).toContain('--gpu-memory-utilization=0.7')
  expect(argv).toContain('--tensor-parallel-size=2')
  expect(argv.filter((word) => word.startsWith('--gpu-memory-utilization'))).toHaveLength(1)
  const fixed = vllm.command(
    launchOf({ devices: two, bytesPerDevice: GIB, engineArgs: { 'kv-cache-memory-bytes': 5_000_000_000 } }),
  )
  expect(fixed.argv.join(' ')).not.toContain('gpu-memory-utilization')
})

test('the share of memory never comes to more than was granted', () => {
  expect(memoryUtilization({ devices: two, bytesPerDevice: 40 * GIB })).toBe(0.5)
  expect(memoryUtilization({ devices: two, bytesPerDevice: 80 * GIB })).toBe(0.98)
  expect(memoryUtilization({ devices: two, bytesPerDevice: 26.7 * GIB })).toBe(0.333)
  expect(memoryUtilization({ devices: two, bytesPerDevice: 1 })).toBe(0.01)
  expect(memoryUtilization({ devices: two, bytesPerDevice: 0 })).toBeUndefined()
  expect(memoryUtilization({ devices: [], bytesPerDevice: GIB })).toBeUndefined()
  const unequal = [gpu(0), gpu(1, { memoryBytes: 40 * GIB })]
  expect(memoryUtilization({ devices: unequal, bytesPerDevice: 20 * GIB })).toBe(0.25)
})

test("an adapter's rank is rounded up to one that vLLM takes", () => {
  const of = (...ranks: (number | undefined)[]) =>
    loraRank(ranks.map((rank, at) => ({ name: `a${at}`, path: '/l', ...(rank !== undefined && { rank }) })))
  expect(of(4)).toBe(8)
  expect(of(17, 300)).toBe(320)
  expect(of(1000)).toBe(512)
  expect(of(undefined)).toBeUndefined()
  expect(of()).toBeUndefined()
})

describe('a template is checked', () => {
  const fields = (template: Parameters<typeof templateOf>[0]) =>
    vllm.validate(templateOf(template)).map((problem) => problem.field)

  test('what vLLM can serve passes', () => {
    expect(fields({ engine: 'vllm', source: 'hf:Qwen/Qwen3-8B@main' })).toEqual([])
    expect(
      fields({
        engine: 'vllm',
        source: 'file:/models/qwen',
        adapters: [{ name: 'fr', source: 'hf:acme/fr' }],
        resources: { devices: 4 },
        engineArgs: { 'tensor-parallel-size': 2, 'pipeline-parallel-size': 2 },
      }),
    ).toEqual([])
    expect(
      fields({ engine: 'vllm', source: 'file:/m/x.gguf', engineArgs: { tokenizer: 'Qwen/Qwen3-8B' } }),
    ).toEqual([])
  })

  test('what it can not is refused by field', () => {
    expect(fields({ engine: 'vllm', source: 'file:/m/x.gguf' })).toEqual(['source'])
    expect(fields({ engine: 'vllm', source: 'builtin:tiny' })).toEqual(['source'])
    expect(fields({ engine: 'vllm', source: 'hf:a/b', engineArgs: { 'trust-remote-code': true } })).toEqual([
      'engineArgs.trust-remote-code',
    ])
    expect(
      fields({ engine: 'vllm', source: 'hf:a/b', engineArgs: { 'enable-auto-tool-choice': true } }),
    ).toEqual(['engineArgs.enable-auto-tool-choice'])
    expect(fields({ engine: 'vllm', source: 'hf:a/b', command: ['x'], externalModel: 'y' })).toEqual([
      'command',
      'externalModel',
    ])
    expect(
      fields({
        engine: 'vllm',
        source: 'hf:a/b',
        adapters: [
          { name: 'fr', source: 'file:/a' },
          { name: 'fr', source: 'sim:x' },
        ],
      }),
    ).toEqual(['adapters.1.name', 'adapters.1.source'])
    expect(
      fields({
        engine: 'vllm',
        source: 'hf:a/b',
        resources: { devices: 4 },
        engineArgs: { 'tensor-parallel-size': 2 },
      }),
    ).toEqual(['engineArgs.tensor-parallel-size'])
    expect(
      fields({
        engine: 'vllm',
        source: 'hf:a/b',
        resources: { devices: 3 },
        engineArgs: { 'pipeline-parallel-size': 2 },
      }),
    ).toEqual(['engineArgs.pipeline-parallel-size'])
  })
})

test('it is loading while it refuses connections, and unhealthy once it answers 503 after being ready', () => {
  expect(vllm.readReadiness({ kind: 'refused' })).toBe('loading')
  expect(vllm.readReadiness({ kind: 'answer', status: 200, body: '' })).toBe('ready')
  expect(vllm.readReadiness({ kind: 'answer', status: 503, body: '' })).toBe('loading')
  expect(vllm.readReadiness({ kind: 'answer', status: 404, body: 'another server' })).toBe('unhealthy')
  expect(vllm.readLiveness({ kind: 'refused' })).toBe('unhealthy')
  expect(vllm.readLiveness({ kind: 'timeout' })).toBe('unhealthy')
  expect(vllm.readLiveness({ kind: 'answer', status: 503, body: '' })).toBe('unhealthy')
  expect(vllm.readLiveness({ kind: 'answer', status: 200, body: '' })).toBe('ready')
})

test('its output tells how far loading is', () => {
  const lines: [string, number | undefined, RegExp][] = [
    [
      'Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:01<00:03,  1.04s/it]',
      0.1875,
      /shard 1 of 4/,
    ],
    [
      '(EngineCore_DP0 pid=1) INFO 11-20 [gpu_model_runner.py:2338] Model loading took 15.2699 GiB and 8.103 seconds',
      0.65,
      /15\.2699 GiB in 8\.103 s/,
    ],
    ['INFO [gpu_worker.py:276] Available KV cache memory: 51.30 GiB', 0.8, /51\.30 GiB/],
    ['INFO [kv_cache_utils.py:864] GPU KV cache size: 373,520 tokens', 0.81, /373,520 tokens/],
    [
      'INFO GPU KV cache size: 373,520 tokens, Maximum concurrency for 8,192 tokens per request: 45.60x',
      0.82,
      /45\.60 requests of 8,192/,
    ],
    [
      'Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  50%|█████     | 34/67 [00:02<00:02]',
      0.9,
      /50 %/,
    ],
    ['(APIServer pid=1) INFO:     Application startup complete.', 1, /started/],
  ]
  for (const [line, fraction, message] of lines) {
    expect(vllm.progress(line), line).toMatchObject({ message: expect.stringMatching(message) })
    expect(vllm.progress(line)?.fraction).toBeCloseTo(fraction ?? 0, 5)
  }
  expect(vllm.progress('INFO 127.0.0.1 - "GET /health HTTP/1.1" 200 OK')).toBeUndefined()
})

test('its version is read from its answer', () => {
  const read = vllm.version?.read
  expect(read?.({ kind: 'answer', status: 200, body: '{"version":"0.32.0"}' })).toBe('0.32.0')
  expect(read?.({ kind: 'answer', status: 404, body: '{"detail":"Not Found"}' })).toBeUndefined()
  expect(read?.({ kind: 'timeout' })).toBeUndefined()
})
