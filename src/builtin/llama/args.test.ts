import { describe, expect, it } from 'vitest'
import { parseLlamaArgs } from './args.ts'

const needed = ['--model', '/m.gguf', '--served-model-name', 'a', '--port', '20000']

describe('the arguments of the built-in engine', () => {
  it('have defaults that bind to loopback', () => {
    expect(parseLlamaArgs(needed)).toEqual({
      kind: 'ok',
      options: {
        modelPath: '/m.gguf',
        servedNames: ['a'],
        host: '127.0.0.1',
        port: 20000,
        contextTokens: undefined,
        parallel: 1,
        threads: undefined,
        embeddings: false,
        adapters: [],
        runtimeAdapters: false,
        maxAdapters: 4,
        maxQueue: 64,
        queueTimeoutMs: 60_000,
        drainTimeoutMs: 30_000,
      },
    })
  })

  it('may all be given, names and adapters more than once', () => {
    const words =
      '--served-model-name b,c --host 0.0.0.0 --ctx-size=1024 --parallel 4 --threads 2 --lora x=/x=1.gguf --lora y=/y.gguf --runtime-lora --max-loras 8 --max-queue 0 --queue-timeout 5 --drain-timeout 7'
    expect(parseLlamaArgs([...needed, ...words.split(' ')])).toMatchObject({
      options: {
        servedNames: ['a', 'b', 'c'],
        host: '0.0.0.0',
        contextTokens: 1024,
        parallel: 4,
        threads: 2,
        adapters: [
          { name: 'x', path: '/x=1.gguf' },
          { name: 'y', path: '/y.gguf' },
        ],
        runtimeAdapters: true,
        maxAdapters: 8,
        maxQueue: 0,
        queueTimeoutMs: 5000,
        drainTimeoutMs: 7000,
      },
    })
  })

  it.each([
    ['no model', needed.slice(2)],
    ['no name', [...needed.slice(0, 2), '--port', '1']],
    ['no port', needed.slice(0, 4)],
    ['a name twice', [...needed, '--lora', 'a=/x.gguf']],
    ['an empty name', [...needed, '--served-model-name', 'b,']],
    ['a port out of range', [...needed.slice(0, 5), '70000']],
    ['a count that is no number', [...needed, '--parallel', '2x']],
    ['an adapter without a file', [...needed, '--lora', 'x=']],
    ['more adapters than allowed', [...needed, '--max-loras', '0', '--lora', 'x=/x.gguf']],
    ['adapters on embeddings', [...needed, '--embeddings', '--lora', 'x=/x.gguf']],
    ['an unknown flag', [...needed, '--gpu', '1']],
    ['a word without a flag', [...needed, 'more']],
  ])('are refused with %s', (_, argv) => {
    const result = parseLlamaArgs(argv)
    expect(result).toMatchObject({ kind: 'invalid', message: expect.stringMatching(/.{8}/) })
  })
})
