import { ModelTemplate } from '../domain/model.ts'
import type { Device } from '../domain/node.ts'
import type { Launch } from './engine.ts'

export const GIB = 2 ** 30
export const CREDENTIAL = 'sk-engine-4f9d2c81aa'

/** A launch with nothing special; tests name what they are about. */
export function launchOf(fields: Partial<Launch> = {}): Launch {
  return {
    servedName: 'qwen',
    modelRef: '/models/qwen',
    host: '127.0.0.1',
    port: 20_001,
    devices: [],
    bytesPerDevice: 0,
    adapters: [],
    engineArgs: {},
    credential: CREDENTIAL,
    yardCommand: ['/usr/bin/node', '/opt/yard/yard.js'],
    cacheDir: '/var/lib/yard/cache',
    threads: 6,
    ...fields,
  }
}

export function templateOf(fields: Partial<ModelTemplate> & Pick<ModelTemplate, 'source' | 'engine'>) {
  return ModelTemplate.parse(fields)
}

export function gpu(index: number, fields: Partial<Device> = {}): Device {
  return {
    id: `GPU-0000000${index}-1111-2222-3333-444444444444`,
    kind: 'cuda',
    model: 'NVIDIA H100',
    memoryBytes: 80 * GIB,
    healthy: true,
    ...fields,
  }
}

export const CPU: Device = { id: 'cpu', kind: 'cpu', model: 'EPYC', memoryBytes: 64 * GIB, healthy: true }
