import { describe, expect, test } from 'vitest'
import { CPU, CREDENTIAL, launchOf, templateOf } from './launch.testing.ts'
import { llama } from './llama.ts'

test('a model with adapters', () => {
  const { file, argv, env } = llama.command(
    launchOf({
      modelRef: '/m/tiny.gguf',
      devices: [CPU],
      contextTokens: 512,
      maxConcurrency: 2,
      adapters: [{ name: 'fr', path: '/l/fr.gguf' }],
      engineArgs: { 'max-queue': 8 },
    }),
  )
  expect(file).toBe('/usr/bin/node')
  expect(argv).toEqual([
    '/opt/yard/yard.js',
    'engine',
    'llama',
    '--model=/m/tiny.gguf',
    '--served-model-name=qwen',
    '--host=127.0.0.1',
    '--port=20001',
    '--ctx-size=512',
    '--parallel=2',
    '--lora=fr=/l/fr.gguf',
    '--runtime-lora',
    '--max-loras=4',
    '--max-queue=8',
  ])
  expect(env).toMatchObject({ YARD_ENGINE_KEY: CREDENTIAL, CUDA_VISIBLE_DEVICES: '-1' })
})

test('an embedding model', () => {
  const { argv } = llama.command(
    launchOf({ modelRef: '/m/e.gguf', embeddings: true, engineArgs: { threads: 2 } }),
  )
  expect(argv.slice(3)).toEqual([
    '--model=/m/e.gguf',
    '--served-model-name=qwen',
    '--host=127.0.0.1',
    '--port=20001',
    '--embeddings',
    '--threads=2',
  ])
})

test('its exit codes tell where its lines do not', () => {
  const reason = (code: number) => llama.classify({ code }, ['{"level":"error"}']).reason
  expect([1, 2, 3, 4, 0].map(reason)).toEqual([
    'invalid_model',
    'bad_argument',
    'port_in_use',
    'engine_failed',
    'exited',
  ])
})

describe('a template is checked', () => {
  const fields = (template: Parameters<typeof templateOf>[0]) =>
    llama.validate(templateOf(template)).map((problem) => problem.field)

  test('what it can serve passes', () => {
    expect(fields({ engine: 'llama', source: 'builtin:tiny', maxConcurrency: 64 })).toEqual([])
    expect(
      fields({
        engine: 'llama',
        source: 'file:/m/x.gguf',
        adapters: [{ name: 'fr', source: 'builtin:tiny-lora' }],
        engineArgs: { threads: 4 },
      }),
    ).toEqual([])
  })

  test('what it can not is refused by field', () => {
    expect(fields({ engine: 'llama', source: 'hf:a/b' })).toEqual(['source'])
    expect(fields({ engine: 'llama', source: 'file:/m/dir' })).toEqual(['source'])
    expect(fields({ engine: 'llama', source: 'builtin:tiny-lora' })).toEqual(['source'])
    expect(fields({ engine: 'llama', source: 'builtin:tiny', maxConcurrency: 65 })).toEqual([
      'maxConcurrency',
    ])
    expect(fields({ engine: 'llama', source: 'builtin:tiny', resources: { devices: 2 } })).toEqual([
      'resources.devices',
    ])
    expect(
      fields({
        engine: 'llama',
        source: 'builtin:tiny-embed',
        embeddings: true,
        adapters: [{ name: 'fr', source: 'builtin:tiny-lora' }],
      }),
    ).toEqual(['adapters'])
    expect(fields({ engine: 'llama', source: 'builtin:tiny', engineArgs: { 'n-gpu-layers': 3 } })).toEqual([
      'engineArgs.n-gpu-layers',
    ])
  })
})
