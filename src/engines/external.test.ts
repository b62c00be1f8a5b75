import { describe, expect, test } from 'vitest'
import { external } from './external.ts'
import { templateOf } from './launch.testing.ts'

describe('a template is checked', () => {
  const fields = (source: string, more: Partial<Parameters<typeof templateOf>[0]> = {}) =>
    external.validate(templateOf({ engine: 'external', source, ...more })).map((problem) => problem.field)
  const key = { externalKeyEnv: 'OPENAI_API_KEY' }

  test('services over https, and over http in a private network', () => {
    expect(fields('https://api.example.com/v1', { ...key, externalModel: 'gpt-4.1' })).toEqual([])
    for (const host of [
      'localhost:8000',
      '127.0.0.1:8000',
      '10.1.2.3',
      '172.20.0.1',
      '192.168.1.9',
      '[::1]:8000',
      '[fd12:3456::1]',
      'gpu-box',
      'vllm.models.svc',
      'vllm.models.svc.cluster.local',
    ]) {
      expect(fields(`http://${host}/v1`, key), host).toEqual([])
    }
    expect(fields('http://public.example.com/v1')).toEqual([])
  })

  test('no key travels unencrypted over the open network', () => {
    for (const host of ['public.example.com', '8.8.8.8', '172.32.0.1', '127.0.0.1.evil.com', '10.evil.com']) {
      expect(fields(`http://${host}/v1`, key), host).toEqual(['externalKeyEnv'])
    }
  })

  test("a cloud's credential service is no model", () => {
    for (const host of [
      '169.254.169.254',
      '[fe80::1]',
      '[fd00:ec2::254]',
      '[::ffff:169.254.169.254]',
      '[::ffff:a9fe:a9fe]',
      'metadata.google.internal',
      'METADATA.google.internal',
    ]) {
      const url = `http://${host}/v1`
      if (external.sources.length > 0) expect(fieldsOrInvalid(url), host).toContain('source')
    }
  })

  test('nothing that is placed or started can be asked for', () => {
    expect(
      fields('https://h/v1', {
        resources: { devices: 1 },
        nodeSelector: { zone: 'a' },
        command: ['x'],
        engineArgs: { port: 1 },
        adapters: [{ name: 'fr', source: 'file:/l' }],
      }),
    ).toEqual(['engineArgs.port', 'adapters', 'command', 'resources', 'nodeSelector'])
    expect(fields('file:/m')).toEqual(['source'])
  })
})

/** Some of these are no source at all by the grammar, which is as good. */
function fieldsOrInvalid(url: string): readonly string[] {
  try {
    return external.validate(templateOf({ engine: 'external', source: url })).map((problem) => problem.field)
  } catch {
    return ['source']
  }
}

test('a service that answers is there, even without a list of models', () => {
  const at = (status: number) => external.readLiveness({ kind: 'answer', status, body: '' })
  expect([200, 404, 405, 429].map(at)).toEqual(['ready', 'ready', 'ready', 'ready'])
  expect([401, 403, 500, 503].map(at)).toEqual(['unhealthy', 'unhealthy', 'unhealthy', 'unhealthy'])
  expect(external.readReadiness({ kind: 'refused' })).toBe('unhealthy')
})

test('it is not managed', () => {
  expect(external.managed).toBe(false)
  expect(external.stop).toEqual([])
  expect(external.metrics).toBeUndefined()
})
