import { describe, expect, test } from 'vitest'
import { CPU, CREDENTIAL, GIB, gpu, launchOf, templateOf } from './launch.testing.ts'
import { llamaServer } from './llama-server.ts'

test('a local model on the processors', () => {
  const { file, argv, env } = llamaServer.command(
    launchOf({
      modelRef: '/m/x.gguf',
      devices: [CPU],
      bytesPerDevice: GIB,
      contextTokens: 2048,
      maxConcurrency: 3,
    }),
  )
  expect(file).toBe('llama-server')
  expect(argv).toEqual([
    ...['--model', '/m/x.gguf', '--offline'],
    ...['--alias', 'qwen', '--host', '127.0.0.1', '--port', '20001'],
    ...['--ctx-size', '6144', '--parallel', '3'],
    ...['--metrics', '--no-slots', '--no-webui'],
    '--no-kv-unified',
    ...['--threads', '6', '--n-gpu-layers', '0', '--fit', 'off', '--cache-ram', '0'],
    ...['--device', 'none'],
  ])
  expect(env).toEqual({
    CUDA_VISIBLE_DEVICES: '-1',
    HIP_VISIBLE_DEVICES: '-1',
    ASCEND_RT_VISIBLE_DEVICES: '-1',
    LLAMA_API_KEY: CREDENTIAL,
    LLAMA_CACHE: '/var/lib/yard/cache/llama.cpp',
  })
})

test('a model of the hub on two devices with adapters', () => {
  const { argv, env } = llamaServer.command(
    launchOf({
      modelRef: 'ggml-org/gemma-3-1b-it-GGUF',
      devices: [gpu(0, { index: 0 }), gpu(1, { index: 1 })],
      adapters: [
        { name: 'fr', path: '/l/fr.gguf' },
        { name: 'de', path: '/l/a,"b".gguf' },
      ],
      engineArgs: { 'cache-ram': 512, 'flash-attn': 'on', 'kv-unified': false },
    }),
  )
  expect(argv).toEqual([
    ...['--hf-repo', 'ggml-org/gemma-3-1b-it-GGUF'],
    ...['--alias', 'qwen', '--host', '127.0.0.1', '--port', '20001'],
    ...['--ctx-size', '0', '--parallel', '4'],
    ...['--metrics', '--no-slots', '--no-webui'],
    '--no-kv-unified',
    ...['--threads', '6', '--n-gpu-layers', '999', '--fit', 'off', '--tensor-split', '1,1'],
    ...['--cache-ram', '512', '--flash-attn', 'on'],
    ...['--lora-scaled', '/l/fr.gguf:0,"/l/a,""b"".gguf:0"'],
  ])
  expect(env.CUDA_VISIBLE_DEVICES).toBe(`${gpu(0).id},${gpu(1).id}`)
})

test('an input to be embedded fits into one batch', () => {
  const { argv } = llamaServer.command(
    launchOf({ modelRef: '/m/e.gguf', embeddings: true, contextTokens: 1024 }),
  )
  const words = argv.join(' ')
  expect(words).toContain('--embeddings')
  expect(words).toContain('--batch-size 1024 --ubatch-size 1024')
})

test('a request chooses its adapter by position, and none for the base', () => {
  const fields = (adapter: string) =>
    llamaServer.adapterFields?.({ servedName: 'qwen', adapter, adapters: ['fr', 'de'] })
  expect(fields('de')).toEqual({
    lora: [
      { id: 0, scale: 0 },
      { id: 1, scale: 1 },
    ],
  })
})

describe('a template is checked', () => {
  const fields = (template: Parameters<typeof templateOf>[0]) =>
    llamaServer.validate(templateOf(template)).map((problem) => problem.field)

  test('what it can serve passes', () => {
    expect(
      fields({ engine: 'llama-server', source: 'file:/m/x.gguf', engineArgs: { rerank: true } }),
    ).toEqual([])
    expect(fields({ engine: 'llama-server', source: 'builtin:tiny' })).toEqual([])
    expect(
      fields({
        engine: 'llama-server',
        source: 'hf:ggml-org/gemma-GGUF',
        engineArgs: { 'hf-file': 'a.gguf' },
      }),
    ).toEqual([])
  })

  test('what it can not is refused by field', () => {
    expect(fields({ engine: 'llama-server', source: 'file:/m/dir' })).toEqual(['source'])
    expect(fields({ engine: 'llama-server', source: 'hf:a/b@main' })).toEqual(['source'])
    expect(fields({ engine: 'llama-server', source: 'sim:x' })).toEqual(['source'])
    const adapters = [{ name: 'fr', source: 'file:/l/a:b.gguf' }]
    expect(fields({ engine: 'llama-server', source: 'builtin:tiny', adapters })).toEqual([
      'adapters',
      'adapters.0.source',
    ])
    expect(fields({ engine: 'llama-server', source: 'builtin:tiny', engineArgs: { 'ctx-size': 5 } })).toEqual(
      ['engineArgs.ctx-size'],
    )
  })
})

test('a model that is loaded again after sleep is loading, not unhealthy', () => {
  const body = '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
  expect(llamaServer.readReadiness({ kind: 'answer', status: 503, body })).toBe('loading')
  expect(llamaServer.readLiveness({ kind: 'answer', status: 503, body })).toBe('loading')
  expect(llamaServer.readLiveness({ kind: 'answer', status: 503, body: '' })).toBe('unhealthy')
  expect(llamaServer.readLiveness({ kind: 'refused' })).toBe('unhealthy')
})

test('its output tells how far loading is', () => {
  expect(llamaServer.progress("0.00.004.388 I srv    load_model: loading model 'base.gguf'")).toMatchObject({
    message: 'loading base.gguf',
  })
  expect(
    llamaServer.progress(
      "0.00.006.955 I srv    load_model: initializing, n_slots = 2, n_ctx_slot = 512, kv_unified = 'false'",
    ),
  ).toMatchObject({ message: 'preparing 2 slots' })
  expect(
    llamaServer.progress('0.00.009.057 I srv  llama_server: listening on http://127.0.0.1:20987'),
  ).toMatchObject({
    fraction: 1,
  })
})
