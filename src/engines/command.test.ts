import { describe, expect, test } from 'vitest'
import { command } from './command.ts'
import { CREDENTIAL, gpu, launchOf, templateOf } from './launch.testing.ts'

test('placeholders are filled in and nothing else is touched', () => {
  const { file, argv, env } = command.command(
    launchOf({
      modelRef: '/usr/local/bin/tei',
      devices: [gpu(0)],
      command: [
        '--port={port}',
        '{host}',
        '--name',
        'x-{name}-{name}',
        '{"port":1}',
        '{ports}',
        '$(reboot)',
        '`ls`; #',
      ],
    }),
  )
  expect(file).toBe('/usr/local/bin/tei')
  expect(argv).toEqual([
    '--port=20001',
    '127.0.0.1',
    '--name',
    'x-qwen-qwen',
    '{"port":1}',
    '{ports}',
    '$(reboot)',
    '`ls`; #',
  ])
  expect(env).toEqual({
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: gpu(0).id,
    HOST: '127.0.0.1',
    PORT: '20001',
    YARD_ENGINE_KEY: CREDENTIAL,
  })
})

test('without arguments the program is told by its environment', () => {
  expect(command.command(launchOf({ modelRef: '/bin/serve' }))).toMatchObject({
    file: '/bin/serve',
    argv: [],
    env: { HOST: '127.0.0.1', PORT: '20001', CUDA_VISIBLE_DEVICES: '-1' },
  })
})

describe('readiness', () => {
  const at = (status: number) => command.readReadiness({ kind: 'answer', status, body: '' })

  test('is success on /health, or on /v1/models where there is no /health', () => {
    expect(command.readiness.path).toBe('/health')
    expect(command.fallbackProbe?.path).toBe('/v1/models')
    expect(at(200)).toBe('ready')
    expect(at(204)).toBe('ready')
    expect(at(404)).toBe('loading')
    expect(at(503)).toBe('loading')
    expect(command.readReadiness({ kind: 'refused' })).toBe('loading')
  })

  test('is not reached by a program that wants another key or breaks', () => {
    expect(at(401)).toBe('unhealthy')
    expect(at(500)).toBe('unhealthy')
    expect(at(302)).toBe('unhealthy')
  })
})

test('a template is checked', () => {
  const problems = (template: Parameters<typeof templateOf>[0]) => command.validate(templateOf(template))
  expect(
    problems({ engine: 'command', source: 'command:/bin/serve', command: ['{port}', '{"a":{}}'] }),
  ).toEqual([])
  expect(problems({ engine: 'command', source: 'command:/bin/serve' })).toEqual([])
  expect(problems({ engine: 'command', source: 'file:/bin/serve' })).toMatchObject([{ field: 'source' }])
  expect(
    problems({ engine: 'command', source: 'command:/bin/serve', command: ['--port', '{prot}'] }),
  ).toEqual([{ field: 'command.1', message: 'there is no {prot}; there are {port}, {host} and {name}' }])
  expect(problems({ engine: 'command', source: 'command:/bin/serve', command: ['a\0b'] })).toMatchObject([
    { field: 'command.0' },
  ])
  expect(
    problems({ engine: 'command', source: 'command:/bin/serve', engineArgs: { port: 1 } }),
  ).toMatchObject([{ field: 'engineArgs.port' }])
  expect(
    problems({ engine: 'command', source: 'command:/b', adapters: [{ name: 'fr', source: 'file:/l' }] }),
  ).toMatchObject([{ field: 'adapters' }])
})
