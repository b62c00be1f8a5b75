import type { DeviceProbe } from './device-probe.ts'
import { readMachineMemory } from './machine-memory.ts'
import type { SystemFiles } from './system-files.ts'

const MIB = 1024 * 1024

/**
 * The processors and main memory as one device `cpu`. `fallback` is what the runtime knows, for systems without
 * `/proc`. A reserve for the system and the agent is left out of its memory.
 */
export function cpuProbe(deps: {
  readonly files: SystemFiles
  readonly cpuCount: number
  readonly fallback: { readonly model: string; readonly totalBytes: number }
}): DeviceProbe {
  return {
    name: 'cpu',
    async read() {
      const memory = await readMachineMemory(deps.files)
      const totalBytes = memory?.totalBytes ?? deps.fallback.totalBytes
      const loadText = (await deps.files.readText('/proc/loadavg')) ?? ''
      const load = Number(/^(\d{1,6}\.\d{1,4}) /.exec(loadText)?.[1] ?? Number.NaN)
      return {
        kind: 'devices',
        devices: [
          {
            id: 'cpu',
            kind: 'cpu',
            model: cpuModel((await deps.files.readText('/proc/cpuinfo')) ?? '') ?? deps.fallback.model,
            memoryBytes: Math.max(0, totalBytes - reserveBytes(totalBytes)),
            ...(memory === undefined
              ? {}
              : { memoryUsedBytes: Math.max(0, Math.min(memory.usedBytes, totalBytes)) }),
            ...(Number.isNaN(load) ? {} : { utilization: Math.min(1, load / Math.max(1, deps.cpuCount)) }),
            healthy: true,
          },
        ],
      }
    },
  }
}

/** A tenth, between 512 MiB and 8 GiB, and never more than half. */
export function reserveBytes(totalBytes: number): number {
  const tenth = Math.min(8192 * MIB, Math.max(512 * MIB, Math.floor(totalBytes / 10)))
  return Math.min(tenth, Math.floor(totalBytes / 2))
}

/** The processor's name in `/proc/cpuinfo`; many Arm machines give none. */
export function cpuModel(cpuinfo: string): string | undefined {
  const match = /^(?:model name|Model|cpu model|Hardware)[ \t]*:[ \t]*(\S[^\n]{0,120})/m.exec(cpuinfo)
  return match?.[1]?.trim()
}
