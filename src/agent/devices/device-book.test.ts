import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../base/fake-clock.ts'
import { silentLog } from '../../base/log.ts'
import type { Device } from '../../domain/node.ts'
import { createDeviceBook } from './device-book.ts'
import type { DeviceProbe, ProbeReading } from './device-probe.ts'

function gpu(id: string, more: Partial<Device> = {}): Device {
  return { id, kind: 'cuda', model: 'T4', memoryBytes: 16e9, healthy: true, ...more }
}

function bookWith(readings: (() => Promise<ProbeReading>)[]) {
  const clock = new FakeClock()
  let turn = 0
  const probe: DeviceProbe = {
    name: 'nvidia-smi',
    read: () => (readings[Math.min(turn++, readings.length - 1)] as () => Promise<ProbeReading>)(),
  }
  return { clock, book: createDeviceBook({ probes: [probe], clock, log: silentLog }), turns: () => turn }
}

const found =
  (...devices: Device[]) =>
  async (): Promise<ProbeReading> => ({ kind: 'devices', devices })

describe('the device book', () => {
  test('a tool that fails leaves the last known devices, unhealthy with the problem, until it answers again', async () => {
    const { book } = bookWith([
      found(gpu('a', { memoryUsedBytes: 5e9 })),
      async () => ({ kind: 'failed', problem: 'the driver is gone' }),
      found(gpu('a')),
    ])
    expect(await book.refresh()).toBe(true)
    expect(await book.refresh()).toBe(true)
    expect(book.devices()).toEqual([gpu('a', { healthy: false, problem: 'the driver is gone' })])
    expect(await book.refresh()).toBe(true)
    expect(book.devices()).toEqual([gpu('a')])
  })

  test('a tool that throws is a tool that fails', async () => {
    const { book } = bookWith([
      found(gpu('a')),
      async () => {
        throw new Error('boom')
      },
    ])
    await book.refresh()
    await book.refresh()
    expect(book.devices()[0]).toMatchObject({ healthy: false, problem: 'boom' })
  })

  test('a device that vanishes is shown broken for some minutes, then forgotten', async () => {
    const { book, clock } = bookWith([found(gpu('a'), gpu('b')), found(gpu('a'))])
    await book.refresh()
    await book.refresh()
    expect(book.devices()[1]).toMatchObject({
      id: 'b',
      healthy: false,
      problem: 'nvidia-smi no longer lists it',
    })
    await clock.advance(301_000)
    await book.refresh()
    expect(book.devices().map((device) => device.id)).toEqual(['a'])
  })

  test('a probe that hangs is given up at its limit and not asked again meanwhile', async () => {
    const { book, clock, turns } = bookWith([found(gpu('a')), () => new Promise(() => {})])
    await book.refresh()
    const second = book.refresh()
    await clock.advance(45_000)
    await second
    await book.refresh()
    expect(book.devices()[0]).toMatchObject({ healthy: false, problem: 'nvidia-smi still has not answered' })
    expect(turns()).toBe(2)
  })

  test('trembling readings are no news, a lost device is', async () => {
    const { book } = bookWith([
      found(gpu('a', { utilization: 0.1, temperatureCelsius: 40.2 })),
      found(gpu('a', { utilization: 0.9, temperatureCelsius: 70 })),
    ])
    await book.refresh()
    expect(await book.refresh()).toBe(false)
    expect(book.devices()[0]).toMatchObject({ utilization: 0.9, temperatureCelsius: 70 })
  })
})
