import { describe, expect, test } from 'vitest'
import { CREDENTIAL, GIB, gpu, launchOf, templateOf } from './launch.testing.ts'
import { memFractionStatic, SGLANG_LAUNCHER, sglang } from './sglang.ts'

test('a model on two devices with adapters', () => {
  const { file, argv, env } = sglang.command(
    launchOf({
      devices: [gpu(0, { index: 0 }), gpu(1, { index: 1 })],
      bytesPerDevice: 72 * GIB,
      contextTokens: 8192,
      maxConcurrency: 64,
      adapters: [{ name: 'fr', path: '/l/fr', rank: 24 }],
      engineArgs: { 'disable-radix-cache': true },
    }),
  )
  expect(file).toBe('python3')
  expect(argv).toEqual([
    '-c',
    SGLANG_LAUNCHER,
    '--model-path=/models/qwen',
    '--host=127.0.0.1',
    '--port=20001',
    '--served-model-name=qwen',
    '--enable-metrics',
    '--context-length=8192',
    '--max-running-requests=64',
    '--tp-size=2',
    '--mem-fraction-static=0.8',
    '--chunked-prefill-size=4096',
    '--enable-cache-report',
    '--enable-lora',
    '--max-loras-per-batch=1',
    '--lora-target-modules=all',
    '--max-lora-rank=24',
    '--disable-radix-cache',
    '--lora-paths',
    '{"lora_name":"fr","lora_path":"/l/fr","pinned":false}',
  ])
  expect(env).toEqual({
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: '0,1',
    YARD_ENGINE_KEY: CREDENTIAL,
    SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION: 'false',
    TRITON_CACHE_DIR: '/var/lib/yard/cache/triton',
    TORCHINDUCTOR_CACHE_DIR: '/var/lib/yard/cache/torchinductor',
    DO_NOT_TRACK: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    HF_HUB_OFFLINE: '1',
    TRANSFORMERS_OFFLINE: '1',
  })
})

test('an embedding model of the hub', () => {
  const { argv } = sglang.command(
    launchOf({ modelRef: 'BAAI/bge-m3', revision: 'abc', devices: [gpu(0)], embeddings: true }),
  )
  expect(argv.slice(2)).toEqual([
    '--model-path=BAAI/bge-m3',
    '--host=127.0.0.1',
    '--port=20001',
    '--served-model-name=qwen',
    '--enable-metrics',
    '--revision=abc',
    '--is-embedding',
    '--tp-size=1',
    '--enable-cache-report',
  ])
})

test('the share for weights and cache leaves room for activations and graphs', () => {
  const of = (gib: number, engineArgs = {}) =>
    memFractionStatic({ devices: [gpu(0)], bytesPerDevice: gib * GIB, engineArgs })
  // 512 + 1.5 × 4096 + 512 MiB = 7 GiB
  expect(of(47)).toBe(0.5)
  expect(of(80)).toBe(0.912)
  expect(of(1)).toBe(0.05)
  // 512 + 1.5 × 8192 + 512 MiB = 13 GiB
  expect(of(53, { 'chunked-prefill-size': 8192 })).toBe(0.5)
  expect(memFractionStatic({ devices: [gpu(0), gpu(1)], bytesPerDevice: 48 * GIB, engineArgs: {} })).toBe(0.5)
  expect(of(0)).toBeUndefined()
})

test('data-parallel copies have devices of their own unless they share attention', () => {
  const devices = [0, 1, 2, 3].map((at) => gpu(at))
  const tp = (engineArgs: Record<string, number | boolean>) =>
    sglang.command(launchOf({ devices, engineArgs })).argv.find((word) => word.startsWith('--tp-size'))
  expect(tp({ 'dp-size': 2 })).toBe('--tp-size=2')
  expect(tp({ 'dp-size': 2, 'enable-dp-attention': true })).toBe('--tp-size=4')
})

test('an adapter is chosen by a name that holds its base', () => {
  expect(sglang.adapterFields?.({ servedName: 'qwen', adapter: 'fr', adapters: ['fr'] })).toEqual({
    model: 'qwen:fr',
  })
})

describe('a template is checked', () => {
  test('GGUF files and flags of other engines are refused', () => {
    const fields = (template: Parameters<typeof templateOf>[0]) =>
      sglang.validate(templateOf(template)).map((problem) => problem.field)
    expect(fields({ engine: 'sglang', source: 'hf:Qwen/Qwen3-8B' })).toEqual([])
    expect(fields({ engine: 'sglang', source: 'file:/m/x.gguf' })).toEqual(['source'])
    const adapters = [{ name: 'fr', source: 'file:/l/fr' }]
    expect(fields({ engine: 'sglang', source: 'hf:a/b', adapters })).toEqual(['adapters'])
    expect(
      fields({ engine: 'sglang', source: 'hf:a/b', engineArgs: { 'gpu-memory-utilization': 0.5 } }),
    ).toEqual(['engineArgs.gpu-memory-utilization'])
    expect(
      fields({ engine: 'sglang', source: 'hf:a/b', resources: { devices: 4 }, engineArgs: { 'tp-size': 3 } }),
    ).toEqual(['engineArgs.tp-size'])
  })
})

test('its output tells how far loading is', () => {
  expect(
    sglang.progress('[2026-11-20 10:00:00 TP0] KV Cache is allocated. #tokens: 412345, K size: 10 GB'),
  ).toEqual({
    fraction: 0.75,
    message: 'KV cache of 412345 tokens',
  })
  expect(sglang.progress('The server is fired up and ready to roll!')).toMatchObject({ fraction: 1 })
})
