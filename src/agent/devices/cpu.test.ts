import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cpuModel, cpuProbe, reserveBytes } from './cpu-probe.ts'
import { parseGroupPaths, parseMeminfo, readGroupCpus, readMachineMemory } from './machine-memory.ts'
import type { SystemFiles } from './system-files.ts'

const GIB = 1024 ** 3
const MEMINFO = 'MemTotal:       24690732 kB\nMemFree:        20000000 kB\nMemAvailable:   22690732 kB\n'

function filesOf(texts: Record<string, string>): SystemFiles {
  return { readText: async (path) => texts[path], list: async () => [] }
}

describe('main memory', () => {
  test('is the machine’s where nothing limits it', async () => {
    expect(await readMachineMemory(filesOf({ '/proc/meminfo': MEMINFO }))).toEqual({
      totalBytes: 24690732 * 1024,
      usedBytes: 2000000 * 1024,
    })
  })

  test('is what control group version 2 allows, also when an ancestor sets the limit', async () => {
    const files = filesOf({
      '/proc/meminfo': MEMINFO,
      '/proc/self/cgroup': '0::/a/b\n',
      '/sys/fs/cgroup/a/b/memory.max': 'max\n',
      '/sys/fs/cgroup/a/memory.max': `${4 * GIB}\n`,
      '/sys/fs/cgroup/a/memory.current': `${3 * GIB}\n`,
      '/sys/fs/cgroup/a/memory.stat': `anon 5\ninactive_file ${GIB}\n`,
    })
    expect(await readMachineMemory(files)).toEqual({ totalBytes: 4 * GIB, usedBytes: 2 * GIB })
  })

  test('is what control group version 1 allows; its "no limit" is a huge number', async () => {
    const at = (bytes: number | string) => ({
      '/proc/meminfo': MEMINFO,
      '/proc/self/cgroup': '4:memory:/x\n1:cpu,cpuacct:/y\n',
      '/sys/fs/cgroup/memory/x/memory.limit_in_bytes': `${bytes}\n`,
      '/sys/fs/cgroup/memory/x/memory.usage_in_bytes': `${GIB}\n`,
    })
    expect((await readMachineMemory(filesOf(at(2 * GIB))))?.totalBytes).toBe(2 * GIB)
    expect((await readMachineMemory(filesOf(at('9223372036854771712'))))?.totalBytes).toBe(24690732 * 1024)
  })

  test('processors are limited by quota', async () => {
    const v2 = { '/proc/self/cgroup': '0::/a\n', '/sys/fs/cgroup/a/cpu.max': '150000 100000\n' }
    expect(await readGroupCpus(filesOf(v2))).toBe(1.5)
    const v1 = {
      '/proc/self/cgroup': '1:cpu:/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    }
    expect(await readGroupCpus(filesOf(v1))).toBeUndefined()
  })
})

describe('the cpu device', () => {
  test('has a name, and memory less a reserve', async () => {
    const files = filesOf({
      '/proc/meminfo': MEMINFO,
      '/proc/cpuinfo': 'processor\t: 0\nmodel name\t: AMD EPYC 9R14\n',
      '/proc/loadavg': '1.00 0.50 0.25 1/100 4242\n',
    })
    const probe = cpuProbe({ files, cpuCount: 4, fallback: { model: 'unknown', totalBytes: 1 } })
    expect(await probe.read()).toEqual({
      kind: 'devices',
      devices: [
        {
          id: 'cpu',
          kind: 'cpu',
          model: 'AMD EPYC 9R14',
          memoryBytes: 24690732 * 1024 - Math.floor((24690732 * 1024) / 10),
          memoryUsedBytes: 2000000 * 1024,
          utilization: 0.25,
          healthy: true,
        },
      ],
    })
  })

  test('exists on a system without /proc', async () => {
    const probe = cpuProbe({
      files: filesOf({}),
      cpuCount: 8,
      fallback: { model: 'Apple M4', totalBytes: 16 * GIB },
    })
    expect(await probe.read()).toMatchObject({ devices: [{ model: 'Apple M4', healthy: true }] })
  })

  test('the reserve leaves at least half', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 44 }), (total) => {
        const reserve = reserveBytes(total)
        return reserve >= 0 && reserve <= total / 2
      }),
    )
    expect(reserveBytes(1024 * GIB)).toBe(8 * GIB)
    expect(reserveBytes(2 * GIB)).toBe(GIB / 2)
  })

  test('arbitrary text never throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseMeminfo(text)
        parseGroupPaths(text)
        cpuModel(text)
      }),
    )
  })
})
