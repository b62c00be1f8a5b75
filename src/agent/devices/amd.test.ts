import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { amdProbe } from './amd-probe.ts'
import { parseAmdSmi } from './amd-smi.ts'
import type { Exec } from './device-probe.ts'
import { parseRocmSmi } from './rocm-smi.ts'
import type { SystemFiles } from './system-files.ts'

const MIB = 1024 * 1024
const NO_FILES: SystemFiles = { readText: async () => undefined, list: async () => [] }

function filesOf(texts: Record<string, string>): SystemFiles {
  return {
    readText: async (path) => texts[path],
    list: async (path) => [
      ...new Set(
        Object.keys(texts)
          .filter((name) => name.startsWith(`${path}/`))
          .map((name) => name.slice(path.length + 1).split('/')[0] ?? ''),
      ),
    ],
  }
}

const LIST = JSON.stringify([{ gpu: 0, bdf: '0000:05:00.0', uuid: '75ff75a0-0000-1000-80a5-000000000001' }])
const FIXED = JSON.stringify({
  gpu_data: [
    {
      gpu: 0,
      asic: { market_name: 'AMD Instinct MI355X' },
      bus: { bdf: '0000:05:00.0' },
      vram: { size: { value: 294896, unit: 'MB' } },
    },
  ],
})
const METRIC = JSON.stringify({
  gpu_data: [
    {
      gpu: 0,
      mem_usage: { total_vram: { value: 294896, unit: 'MB' }, used_vram: { value: 283, unit: 'MB' } },
      usage: { gfx_activity: { value: 12, unit: '%' } },
      power: { socket_power: { value: 239, unit: 'W' } },
      temperature: { edge: 'N/A', hotspot: { value: 36, unit: 'C' } },
    },
  ],
})

describe('amd-smi', () => {
  test('three calls join to one device', () => {
    expect(parseAmdSmi({ list: LIST, fixed: FIXED, metric: METRIC })).toEqual([
      {
        id: '75ff75a0-0000-1000-80a5-000000000001',
        kind: 'rocm',
        model: 'AMD Instinct MI355X',
        index: 0,
        memoryBytes: 294896 * MIB,
        memoryUsedBytes: 283 * MIB,
        utilization: 0.12,
        temperatureCelsius: 36,
        powerWatts: 239,
        healthy: true,
      },
    ])
  })

  test('older versions print an array and bare numbers, after a warning', () => {
    const metric = `WARNING: User is missing the following required groups\n[WARNING] more\n${JSON.stringify([{ gpu: 1, mem_usage: { total_vram: 16368, used_vram: '26' }, usage: 'N/A' }])}`
    expect(parseAmdSmi({ list: '', fixed: '', metric })).toEqual([
      expect.objectContaining({
        id: 'rocm-1',
        memoryBytes: 16368 * MIB,
        memoryUsedBytes: 26 * MIB,
        healthy: true,
      }),
    ])
  })

  test('a GPU whose memory is not told is there and not healthy', () => {
    const [device] = parseAmdSmi({ list: LIST, fixed: '[]', metric: '[{"gpu":0,"mem_usage":"N/A"}]' })
    expect(device).toMatchObject({ memoryBytes: 0, healthy: false })
  })
})

describe('rocm-smi', () => {
  test('a Radeon card', () => {
    const text = JSON.stringify({
      card0: {
        'Device ID': '0x747e',
        'Unique ID': '0x5c88007d8fc7dc2f',
        'Temperature (Sensor edge) (C)': '45.0',
        'Temperature (Sensor junction) (C)': '51.0',
        'Average Graphics Package Power (W)': '53.0',
        'GPU use (%)': '100',
        'VRAM Total Memory (B)': '17163091968',
        'VRAM Total Used Memory (B)': '28577792',
        'Card Series': 'AMD Radeon RX 7800 XT',
      },
      system: { 'Driver version': '6.8.5' },
    })
    expect(parseRocmSmi(`WARNING: AMD GPU device(s) is/are in a low-power state.\n\n${text}\n`)).toEqual([
      {
        id: '0x5c88007d8fc7dc2f',
        kind: 'rocm',
        model: 'AMD Radeon RX 7800 XT',
        index: 0,
        memoryBytes: 17163091968,
        memoryUsedBytes: 28577792,
        utilization: 1,
        temperatureCelsius: 51,
        powerWatts: 53,
        healthy: true,
      },
    ])
  })

  test('a Hygon card, which says HCU and MiB', () => {
    const text = JSON.stringify({
      card1: {
        'HCU use (%)': '3.0',
        'vram Total Memory (MiB)': '65520',
        'vram Total Used Memory (MiB)': '10',
        'Card Series': 'K100_AI',
      },
    })
    expect(parseRocmSmi(text)[0]).toMatchObject({ memoryBytes: 65520 * MIB, utilization: 0.03, index: 1 })
  })
})

describe('the AMD probe', () => {
  test('falls back from amd-smi to rocm-smi to the kernel', async () => {
    const rocm: Exec = async (file) =>
      file === 'rocm-smi'
        ? { kind: 'exited', code: 0, stdout: '{"card0":{"VRAM Total Memory (B)":"1024"}}', stderr: '' }
        : { kind: 'missing' }
    expect(await amdProbe({ exec: rocm, files: NO_FILES }).read()).toMatchObject({
      devices: [{ memoryBytes: 1024 }],
    })

    const base = '/sys/class/drm/card1/device'
    const files = filesOf({
      [`${base}/vendor`]: '0x1002\n',
      [`${base}/mem_info_vram_total`]: '17163091968\n',
      [`${base}/mem_info_vram_used`]: '1000\n',
      [`${base}/unique_id`]: '5c88007d8fc7dc2f\n',
      '/sys/class/drm/card0/device/vendor': '0x8086\n',
      '/sys/class/drm/card1-DP-1/status': 'connected\n',
    })
    const none: Exec = async () => ({ kind: 'missing' })
    expect(await amdProbe({ exec: none, files }).read()).toEqual({
      kind: 'devices',
      devices: [
        {
          id: '0x5c88007d8fc7dc2f',
          kind: 'rocm',
          model: 'AMD GPU',
          index: 0,
          memoryBytes: 17163091968,
          memoryUsedBytes: 1000,
          healthy: true,
        },
      ],
    })
  })

  test('asks for what does not change once, and again after a failure', async () => {
    const calls: string[] = []
    let broken = false
    const exec: Exec = async (file, argv) => {
      if (file !== 'amd-smi') return { kind: 'missing' }
      calls.push(argv[0] ?? '')
      if (broken) return { kind: 'exited', code: 1, stdout: '', stderr: 'driver not initialized' }
      const text = { list: LIST, static: FIXED, metric: METRIC }[argv[0] ?? ''] ?? ''
      return { kind: 'exited', code: 0, stdout: text, stderr: '' }
    }
    const probe = amdProbe({ exec, files: NO_FILES })
    for (let turn = 0; turn < 3; turn++) {
      expect(await probe.read()).toMatchObject({ devices: [{ model: 'AMD Instinct MI355X' }] })
    }
    broken = true
    expect(await probe.read()).toMatchObject({
      kind: 'failed',
      problem: expect.stringContaining('not initialized'),
    })
    broken = false
    await probe.read()
    expect(calls.filter((call) => call === 'metric').length).toBe(5)
    expect(calls.filter((call) => call === 'static').length).toBe(2)
  })

  test('no tool and no card is absent; a failing tool is a problem', async () => {
    expect(await amdProbe({ exec: async () => ({ kind: 'missing' }), files: NO_FILES }).read()).toEqual({
      kind: 'absent',
    })
    const failing: Exec = async () => ({ kind: 'exited', code: 1, stdout: '', stderr: 'amdgpu not found\n' })
    expect(await amdProbe({ exec: failing, files: NO_FILES }).read()).toMatchObject({
      kind: 'failed',
      problem: expect.stringContaining('amdgpu not found'),
    })
  })

  test('arbitrary output never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        parseAmdSmi({ list: text, fixed: text, metric: `[${text}]` })
        parseAmdSmi({ list: '', fixed: '', metric: `[{"gpu":0,"mem_usage":${text}}]` })
        parseRocmSmi(`{"card0": ${text}}`)
      }),
    )
  })
})
