import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Exec, ExecResult } from './device-probe.ts'
import { parseMigInstances, parseMigMemory } from './nvidia-mig.ts'
import { nvidiaProbe } from './nvidia-probe.ts'
import { NVIDIA_FIELD_LISTS, parseNvidiaQuery } from './nvidia-smi.ts'

const FIELDS = NVIDIA_FIELD_LISTS[0] ?? []
const MIB = 1024 * 1024
const H100 = 'GPU-6e1a3b9c-1111-2222-3333-444455556666'
const A100 = 'GPU-0aa0bb1c-9999-8888-7777-666655554444'

function exited(stdout: string, code = 0, stderr = ''): ExecResult {
  return { kind: 'exited', code, stdout, stderr }
}

/** An exec that answers by the first argument and remembers what it was asked. */
function fakeExec(answer: (argv: readonly string[]) => ExecResult | Promise<ExecResult>) {
  const calls: string[] = []
  const exec: Exec = async (file, argv) => {
    calls.push([file, ...argv].join(' '))
    return answer(argv)
  }
  return { exec, calls }
}

describe('the list of NVIDIA GPUs', () => {
  test('a healthy GPU is read with its readings', () => {
    const [card] = parseNvidiaQuery(
      `0, ${H100}, NVIDIA H100 80GB HBM3, 81559, 4, 37, 31, 71.42, Disabled\n`,
      FIELDS,
    )
    expect(card).toEqual({
      device: {
        id: H100,
        kind: 'cuda',
        model: 'NVIDIA H100 80GB HBM3',
        index: 0,
        memoryBytes: 81559 * MIB,
        memoryUsedBytes: 4 * MIB,
        utilization: 0.37,
        temperatureCelsius: 31,
        powerWatts: 71.42,
        healthy: true,
      },
      mig: false,
      memoryUntold: false,
    })
  })

  test('values with units are read too', () => {
    const [card] = parseNvidiaQuery(`0, ${H100}, T4, 16376 MiB, 10 MiB, 5 %, 40, 20.00 W, [N/A]`, FIELDS)
    expect(card?.device).toMatchObject({ memoryBytes: 16376 * MIB, utilization: 0.05, powerWatts: 20 })
  })

  test.each(['[N/A]', 'N/A', '[Not Supported]', '[Insufficient Permissions]', '[Unknown Error]', 'ERR!', ''])(
    'a reading of %j is absent, not zero',
    (odd) => {
      const [card] = parseNvidiaQuery(`0, ${H100}, T4, 16376, ${odd}, ${odd}, ${odd}, ${odd}, ${odd}`, FIELDS)
      expect(card?.device).toEqual({
        id: H100,
        kind: 'cuda',
        model: 'T4',
        index: 0,
        memoryBytes: 16376 * MIB,
        healthy: true,
      })
    },
  )

  test.each(['[GPU requires reset]', '[GPU is lost]'])(
    'a GPU that says %j anywhere is not healthy',
    (odd) => {
      const [card] = parseNvidiaQuery(`0, ${H100}, T4, 16376, ${odd}, ${odd}, 40, ${odd}, Disabled`, FIELDS)
      expect(card?.device.healthy).toBe(false)
      expect(card?.device.problem).toContain(odd.slice(1, -1))
    },
  )

  test.each(['[Unknown Error]', 'ERR!'])('a total of memory that reads %j is a fault', (odd) => {
    const [card] = parseNvidiaQuery(`0, ${H100}, T4, ${odd}, 0, 0, 40, 20, Disabled`, FIELDS)
    expect(card?.device).toMatchObject({ healthy: false, memoryBytes: 0 })
  })

  test('a comma in the name does not shift the columns', () => {
    const [card] = parseNvidiaQuery(`0, ${H100}, Odd, Name, 100, 1, 2, 3, 4, Disabled`, FIELDS)
    expect(card?.device).toMatchObject({ model: 'Odd, Name', memoryBytes: 100 * MIB, temperatureCelsius: 3 })
  })

  test('lines that name no GPU are left out, and a GPU listed twice is there once', () => {
    const line = `0, ${H100}, T4, 100, 1, 2, 3, 4, Disabled`
    expect(
      parseNvidiaQuery(`Unable to determine the device handle\n\n${line}\n${line}`, FIELDS),
    ).toHaveLength(1)
  })

  test('arbitrary text never throws', () => {
    const cell = fc.oneof(fc.string(), fc.constantFrom(H100, '[N/A]', 'ERR!', '81559', '5 %', '-3', '1e999'))
    fc.assert(
      fc.property(
        fc.array(fc.array(cell, { maxLength: 12 })),
        fc.constantFrom(...NVIDIA_FIELD_LISTS),
        (rows, fields) => {
          for (const { device } of parseNvidiaQuery(rows.map((row) => row.join(', ')).join('\n'), fields)) {
            expect(Number.isSafeInteger(device.memoryBytes) && device.memoryBytes >= 0).toBe(true)
          }
        },
      ),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseNvidiaQuery(text, FIELDS)
        parseMigInstances(text)
        parseMigMemory(text)
      }),
    )
  })
})

const MIG_LIST = `GPU 0: NVIDIA A100-SXM4-40GB (UUID: ${A100})
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaaaaaa-0000-1111-2222-333333333333)
  MIG 1g.5gb      Device  1: (UUID: MIG-bbbbbbbb-0000-1111-2222-333333333333)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: ${H100})
`
const MIG_XML = `<?xml version="1.0" ?><nvidia_smi_log>
<gpu id="00000000:07:00.0"><product_name>NVIDIA A100-SXM4-40GB</product_name>
<mig_mode><current_mig>Enabled</current_mig></mig_mode>
<mig_devices>
<mig_device><index>0</index><gpu_instance_id>2</gpu_instance_id>
<fb_memory_usage><total>19968 MiB</total><reserved>0 MiB</reserved><used>11 MiB</used><free>19956 MiB</free></fb_memory_usage>
<bar1_memory_usage><total>32767 MiB</total><used>0 MiB</used></bar1_memory_usage></mig_device>
</mig_devices><uuid>${A100}</uuid></gpu>
<gpu id="00000000:1B:00.0"><uuid>${H100}</uuid><mig_devices>None</mig_devices></gpu></nvidia_smi_log>`

describe('the NVIDIA probe', () => {
  test('lists the instances of a card in MIG mode in place of the card', async () => {
    const { exec } = fakeExec((argv) => {
      if (argv[0] === '-L') return exited(MIG_LIST)
      if (argv[0] === '-q') return exited(MIG_XML)
      return exited(
        `0, ${A100}, NVIDIA A100-SXM4-40GB, 40960, 11, [N/A], 30, 50.1, Enabled\n1, ${H100}, NVIDIA H100 80GB HBM3, 81559, 4, 0, 31, 71.4, Disabled\n`,
      )
    })
    const reading = await nvidiaProbe({ exec }).read()
    expect(reading).toMatchObject({
      kind: 'devices',
      devices: [
        {
          id: 'MIG-aaaaaaaa-0000-1111-2222-333333333333',
          memoryBytes: 19968 * MIB,
          memoryUsedBytes: 11 * MIB,
        },
        // Not in the XML: taken from the profile's name, less what such an instance never has.
        { id: 'MIG-bbbbbbbb-0000-1111-2222-333333333333', model: 'NVIDIA A100-SXM4-40GB MIG 1g.5gb' },
        { id: H100 },
      ],
    })
    const small = reading.kind === 'devices' ? reading.devices[1] : undefined
    expect(small?.memoryBytes).toBeGreaterThan(4600 * MIB)
    expect(small?.memoryBytes).toBeLessThanOrEqual(4864 * MIB)
  })

  test('asks for fewer fields when the driver does not know one, and remembers it', async () => {
    const { exec, calls } = fakeExec((argv) =>
      argv[0]?.includes('mig.mode')
        ? exited('Field "mig.mode.current" is not a valid field to query.\n', 2)
        : exited(`0, ${H100}, T4, 100, 1, 2, 3, 4\n`),
    )
    const probe = nvidiaProbe({ exec })
    expect(await probe.read()).toMatchObject({ kind: 'devices', devices: [{ id: H100 }] })
    await probe.read()
    expect(calls).toHaveLength(3)
  })

  test('a machine without the tool has no NVIDIA devices, and that is no error', async () => {
    expect(await nvidiaProbe({ exec: async () => ({ kind: 'missing' }) }).read()).toEqual({ kind: 'absent' })
  })

  test('"No devices were found" is an empty list', async () => {
    const { exec } = fakeExec(() => exited('No devices were found\n', 6))
    expect(await nvidiaProbe({ exec }).read()).toEqual({ kind: 'devices', devices: [] })
  })

  test('a driver that does not answer is a problem with the tool’s own words', async () => {
    const { exec } = fakeExec(() =>
      exited("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", 9),
    )
    expect(await nvidiaProbe({ exec }).read()).toMatchObject({
      kind: 'failed',
      problem: expect.stringContaining("couldn't communicate"),
    })
  })

  test('no second call is made while one that can’t be killed hangs', async () => {
    let end = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    const { exec, calls } = fakeExec(() => ({ kind: 'timeout', ended }))
    const probe = nvidiaProbe({ exec })
    expect(await probe.read()).toMatchObject({ kind: 'failed' })
    expect(await probe.read()).toMatchObject({
      kind: 'failed',
      problem: expect.stringContaining('still hangs'),
    })
    expect(calls).toHaveLength(1)
    end()
    await ended
    await probe.read()
    expect(calls).toHaveLength(2)
  })

  test('a GPU that shares the machine’s memory gets it, and without a way to know it is unhealthy', async () => {
    const { exec } = fakeExec(() => exited(`0, ${H100}, NVIDIA GB10, [N/A], [N/A], 0, 40, 10, [N/A]\n`))
    const sharedMemory = async () => ({ totalBytes: 128e9, usedBytes: 5e9 })
    expect(await nvidiaProbe({ exec, sharedMemory }).read()).toMatchObject({
      devices: [{ memoryBytes: 128e9, memoryUsedBytes: 5e9, healthy: true }],
    })
    expect(await nvidiaProbe({ exec }).read()).toMatchObject({
      devices: [{ memoryBytes: 0, healthy: false }],
    })
  })
})
