import { expect, test } from 'vitest'
import { CREDENTIAL, launchOf, templateOf } from './launch.testing.ts'
import { sim } from './sim.ts'

test('a simulated model with adapters', () => {
  const { file, argv, env } = sim.command(
    launchOf({
      modelRef: 'acme/demo',
      contextTokens: 4096,
      maxConcurrency: 16,
      adapters: [{ name: 'fr', path: '/l/fr' }],
      engineArgs: { speed: 50, mode: 'echo' },
    }),
  )
  expect(file).toBe('/usr/bin/node')
  expect(argv).toEqual([
    '/opt/yard/yard.js',
    'engine',
    'sim',
    '--model=acme/demo',
    '--host=127.0.0.1',
    '--port=20001',
    '--served-model-name=qwen',
    '--max-model-len=4096',
    '--max-num-seqs=16',
    '--enable-lora',
    '--max-loras=1',
    '--speed=50',
    '--mode=echo',
    '--lora-modules',
    '{"name":"fr","path":"/l/fr"}',
  ])
  expect(env).toMatchObject({ VLLM_API_KEY: CREDENTIAL, VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' })
})

test('many sequences are given a batch that holds them', () => {
  const { argv } = sim.command(launchOf({ modelRef: 'x', maxConcurrency: 10_000 }))
  expect(argv).toContain('--max-num-batched-tokens=10000')
})

test('a template is checked', () => {
  const fields = (template: Parameters<typeof templateOf>[0]) =>
    sim.validate(templateOf(template)).map((problem) => problem.field)
  expect(fields({ engine: 'sim', source: 'sim:demo', engineArgs: { jitter: 0.1 } })).toEqual([])
  expect(fields({ engine: 'sim', source: 'builtin:tiny' })).toEqual(['source'])
  expect(fields({ engine: 'sim', source: 'sim:demo', engineArgs: { jitter: 0.9 } })).toEqual([
    'engineArgs.jitter',
  ])
})

test('it fails in the words of vLLM', () => {
  expect(sim.classify({ code: 2 }, ['vllm serve: error: unrecognized arguments: --bad-arg'])).toMatchObject({
    reason: 'bad_argument',
    retryable: false,
  })
})
