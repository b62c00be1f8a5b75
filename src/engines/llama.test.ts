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

describe('it tells the cause from its lines', () => {
  const logged = (event: string, fields: object) =>
    JSON.stringify({ time: '2026-11-23T05:18:22.538Z', level: 'error', part: 'llama', event, ...fields })
  const cases: readonly [reason: string, line: string, message: string][] = [
    [
      'missing_file',
      logged('load_failed', { reason: 'file_missing', message: '/nope.gguf does not exist' }),
      '/nope.gguf does not exist',
    ],
    [
      'invalid_model',
      logged('load_failed', {
        reason: 'truncated',
        message:
          'trunc.gguf: the file has 200000 bytes but its tensors need 458656; copy or download it again',
      }),
      'trunc.gguf: the file has 200000 bytes but its tensors need 458656; copy or download it again',
    ],
    [
      'missing_file',
      logged('load_failed', {
        reason: 'adapter_file_missing',
        message: 'adapter "a": /nope.gguf does not exist',
      }),
      'adapter "a": /nope.gguf does not exist',
    ],
    [
      'invalid_adapter',
      logged('load_failed', { reason: 'adapter_unfit', message: 'x is no adapter for a llama model' }),
      'x is no adapter for a llama model',
    ],
    [
      'out_of_memory',
      logged('load_failed', { reason: 'out_of_memory', message: 'it needs 62501 MiB' }),
      'it needs 62501 MiB',
    ],
    [
      'engine_failed',
      logged('engine_fault', { message: 'decode failed' }),
      'llama.cpp failed while it ran: decode failed',
    ],
    [
      'bad_argument',
      "yard engine llama: Unknown option '--foo'",
      "the engine refuses its arguments: Unknown option '--foo'; correct engineArgs",
    ],
  ]
  for (const [reason, line, message] of cases) {
    test(`${reason}: ${message}`, () => {
      expect(llama.classify({ code: 1 }, ['{"event":"listening"}', line])).toMatchObject({ reason, message })
    })
  }

  test('port_in_use: with the port', () => {
    const line = logged('cannot_listen', {
      reason: 'EADDRINUSE',
      host: '127.0.0.1',
      port: 20001,
      message: 'listen EADDRINUSE: address already in use 127.0.0.1:20001',
    })
    expect(llama.classify({ code: 3 }, [line])).toMatchObject({
      reason: 'port_in_use',
      message: expect.stringContaining('port 20001 is taken'),
    })
  })
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
