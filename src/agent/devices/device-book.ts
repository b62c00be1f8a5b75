import type { Clock } from '../../base/clock.ts'
import { errorText } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Device } from '../../domain/node.ts'
import type { DeviceProbe, ProbeReading } from './device-probe.ts'

/** The machine's devices as last read, and the reading itself. */
export interface DeviceBook {
  devices(): readonly Device[]
  /** What is wrong with the probes that did not answer when they were last asked. */
  problems(): readonly string[]
  /** Asks every probe once; resolves true when something changed that placement depends on. Never rejects. */
  refresh(): Promise<boolean>
}

/** However many calls a probe makes, it is given up after this. */
const PROBE_LIMIT_MS = 45_000

/** A device that is no longer listed stays visible as broken for this long, so that somebody sees why. */
const VANISHED_FOR_MS = 300_000

/**
 * Remembers what the probes found. A probe that fails keeps its devices, marked unhealthy with the problem; so does a
 * device that vanished from a good reading, for some minutes. A probe is never asked while it still answers.
 */
export function createDeviceBook(deps: {
  readonly probes: readonly DeviceProbe[]
  readonly clock: Clock
  readonly log: Log
}): DeviceBook {
  const pages = deps.probes.map((probe) => ({
    probe,
    known: new Map<string, { device: Device; seenAtMs: number }>(),
    busy: false,
    problem: undefined as string | undefined,
  }))
  type Page = (typeof pages)[number]

  const read = async (page: Page): Promise<ProbeReading> => {
    if (page.busy) return { kind: 'failed', problem: `${page.probe.name} still has not answered` }
    page.busy = true
    const limit = new AbortController()
    const reading = page.probe
      .read()
      .catch((error: unknown): ProbeReading => ({ kind: 'failed', problem: errorText(error) }))
      .finally(() => {
        page.busy = false
        limit.abort()
      })
    const late = deps.clock.sleep(PROBE_LIMIT_MS, limit.signal).then(
      (): ProbeReading => ({ kind: 'failed', problem: `${page.probe.name} did not answer` }),
      () => reading,
    )
    return Promise.race([reading, late])
  }

  const take = (page: Page, reading: ProbeReading) => {
    const nowMs = deps.clock.now()
    const problem = reading.kind === 'failed' ? reading.problem : undefined
    if (problem !== page.problem) {
      page.problem = problem
      if (problem !== undefined) deps.log.warn('device_probe_failed', { probe: page.probe.name, problem })
    }
    for (const device of reading.kind === 'devices' ? reading.devices : []) {
      page.known.set(device.id, { device: steady(device), seenAtMs: nowMs })
    }
    const listed = new Set(reading.kind === 'devices' ? reading.devices.map((device) => device.id) : [])
    for (const [id, entry] of page.known) {
      if (listed.has(id)) continue
      const gone = problem ?? `${page.probe.name} no longer lists it`
      if (problem === undefined && nowMs - entry.seenAtMs > VANISHED_FOR_MS) page.known.delete(id)
      else entry.device = broken(entry.device, gone)
    }
  }

  const devices = () => pages.flatMap((page) => [...page.known.values()].map((entry) => entry.device))
  return {
    devices,
    problems: () => pages.flatMap((page) => page.problem ?? []),
    async refresh() {
      const before = placementView(devices())
      await Promise.all(pages.map(async (page) => take(page, await read(page))))
      return placementView(devices()) !== before
    },
  }
}

/** Readings that only tremble are rounded, so that they are not reported as news each time. */
function steady(device: Device): Device {
  const { memoryUsedBytes, utilization, temperatureCelsius, powerWatts } = device
  const step = 16 * 1024 * 1024
  return {
    ...device,
    ...(memoryUsedBytes === undefined ? {} : { memoryUsedBytes: Math.round(memoryUsedBytes / step) * step }),
    ...(utilization === undefined ? {} : { utilization: Math.round(utilization * 20) / 20 }),
    ...(temperatureCelsius === undefined ? {} : { temperatureCelsius: Math.round(temperatureCelsius) }),
    ...(powerWatts === undefined ? {} : { powerWatts: Math.round(powerWatts / 5) * 5 }),
  }
}

function broken(device: Device, problem: string): Device {
  const { id, kind, model, index, memoryBytes } = device
  return { id, kind, model, ...(index === undefined ? {} : { index }), memoryBytes, healthy: false, problem }
}

function placementView(devices: readonly Device[]): string {
  return JSON.stringify(
    devices.map(({ id, memoryBytes, healthy, problem }) => [id, memoryBytes, healthy, problem]),
  )
}
