import type { SystemFiles } from './system-files.ts'

export interface MachineMemory {
  /** What processes of this machine (or this container, when it is limited to less) can have at most. */
  readonly totalBytes: number
  readonly usedBytes: number
}

/** Main memory: the machine's, or the control group's when that is less. Undefined where neither tells. */
export async function readMachineMemory(files: SystemFiles): Promise<MachineMemory | undefined> {
  const machine = parseMeminfo((await files.readText('/proc/meminfo')) ?? '')
  const group = await readGroupMemory(files)
  if (machine === undefined) return group
  return group !== undefined && group.totalBytes < machine.totalBytes ? group : machine
}

/** Processors that a control group grants, as a fraction (`1.5`); undefined when it does not limit them. */
export async function readGroupCpus(files: SystemFiles): Promise<number | undefined> {
  const paths = parseGroupPaths((await files.readText('/proc/self/cgroup')) ?? '')
  const found: number[] = []
  for (const dir of upwards('/sys/fs/cgroup', paths.unified)) {
    const [quota = '', period = ''] = ((await files.readText(`${dir}/cpu.max`)) ?? '').trim().split(/\s+/)
    if (isWhole(quota) && isWhole(period) && Number(period) > 0) found.push(Number(quota) / Number(period))
  }
  for (const dir of upwards('/sys/fs/cgroup/cpu', paths.cpu)) {
    const quota = ((await files.readText(`${dir}/cpu.cfs_quota_us`)) ?? '').trim()
    const period = ((await files.readText(`${dir}/cpu.cfs_period_us`)) ?? '').trim()
    if (isWhole(quota) && isWhole(period) && Number(period) > 0) found.push(Number(quota) / Number(period))
  }
  return found.length === 0 ? undefined : Math.min(...found)
}

/** Reads `/proc/meminfo`. */
export function parseMeminfo(text: string): MachineMemory | undefined {
  const kibibytes = (name: string) => {
    const match = new RegExp(`^${name}:\\s+(\\d{1,15}) kB$`, 'm').exec(text)?.[1]
    return match === undefined ? undefined : Number(match) * 1024
  }
  const totalBytes = kibibytes('MemTotal')
  if (totalBytes === undefined) return undefined
  const freeBytes = kibibytes('MemAvailable') ?? kibibytes('MemFree') ?? 0
  return { totalBytes, usedBytes: Math.max(0, totalBytes - freeBytes) }
}

/** Reads `/proc/self/cgroup`: where this process stands in each hierarchy (`0::` is version 2). */
export function parseGroupPaths(text: string): { unified?: string; memory?: string; cpu?: string } {
  const paths: { unified?: string; memory?: string; cpu?: string } = {}
  for (const line of text.split('\n')) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line)
    const [, controllers = '', path = ''] = match ?? []
    if (!match || path.split('/').includes('..')) continue
    if (controllers === '') paths.unified = path
    if (controllers.split(',').includes('memory')) paths.memory = path
    if (controllers.split(',').includes('cpu')) paths.cpu = path
  }
  return paths
}

/** The tightest limit on the way up: a limit on any ancestor holds for all below it. */
async function readGroupMemory(files: SystemFiles): Promise<MachineMemory | undefined> {
  const paths = parseGroupPaths((await files.readText('/proc/self/cgroup')) ?? '')
  const places = [
    ...upwards('/sys/fs/cgroup', paths.unified).map((dir) => ({
      dir,
      limit: 'memory.max',
      used: 'memory.current',
    })),
    ...upwards('/sys/fs/cgroup/memory', paths.memory).map((dir) => ({
      dir,
      limit: 'memory.limit_in_bytes',
      used: 'memory.usage_in_bytes',
    })),
  ]
  let best: MachineMemory | undefined
  for (const { dir, limit, used } of places) {
    const limitText = ((await files.readText(`${dir}/${limit}`)) ?? '').trim()
    if (!isWhole(limitText) || (best !== undefined && Number(limitText) >= best.totalBytes)) continue
    const usedText = ((await files.readText(`${dir}/${used}`)) ?? '').trim()
    // Files in the page cache count as used but are given up when somebody needs the memory.
    const stat = (await files.readText(`${dir}/memory.stat`)) ?? ''
    const cached = Number(/^(?:total_)?inactive_file (\d{1,15})$/m.exec(stat)?.[1] ?? 0)
    best = {
      totalBytes: Number(limitText),
      usedBytes: isWhole(usedText) ? Math.max(0, Number(usedText) - cached) : 0,
    }
  }
  return best
}

function upwards(root: string, path: string | undefined): string[] {
  if (path === undefined) return []
  const parts = path.split('/').filter((part) => part !== '')
  return [...parts.keys(), parts.length].map((count) => [root, ...parts.slice(0, count)].join('/')).reverse()
}

function isWhole(text: string): boolean {
  return /^\d{1,20}$/.test(text)
}
