import type { Device } from '../../domain/node.ts'

/** One chip of `npu-smi info`. `npu` and `chip` are its numbers on the board. */
export interface NpuChip {
  readonly npu: number
  readonly chip: number
  readonly device: Device
}

/**
 * Reads the table of `npu-smi info`: two rows a chip, under two header rows that say which columns there are. Boards
 * without HBM (310, 310P) have `Memory-Usage(MB)` only. The table of processes that follows is not read.
 */
export function parseNpuTable(text: string): NpuChip[] {
  const chips: NpuChip[] = []
  let hasHbm = false
  let first: readonly string[] | undefined
  for (const line of text.split('\n')) {
    if (!line.startsWith('|')) {
      if (line.startsWith('+')) first = undefined
      continue
    }
    if (/Process id/i.test(line)) break
    if (/Bus-Id/i.test(line)) hasHbm = /HBM-Usage/i.test(line)
    if (/Bus-Id|Health|npu-smi/i.test(line)) continue
    const cells = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
    if (first === undefined) {
      first = cells
      continue
    }
    const chip = readChip(first, cells, hasHbm)
    if (chip) chips.push(chip)
    first = undefined
  }
  return chips
}

/** Reads `npu-smi info -m`: logic ids by `npu/chip`. Controllers (`Mcu`) have none. */
export function parseNpuMapping(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const line of text.split('\n')) {
    const match = /^\s*(\d{1,4})\s+(\d{1,4})\s+(\d{1,4})\s+\S/.exec(line)
    if (match) found.set(`${Number(match[1])}/${Number(match[2])}`, Number(match[3]))
  }
  return found
}

/** Chips as devices, numbered as `ASCEND_RT_VISIBLE_DEVICES` wants them. */
export function npuDevices(chips: readonly NpuChip[], logicIds: ReadonlyMap<string, number>): Device[] {
  return chips.map((chip, order) => ({
    ...chip.device,
    index: logicIds.get(`${chip.npu}/${chip.chip}`) ?? order,
  }))
}

function readChip(top: readonly string[], bottom: readonly string[], hasHbm: boolean): NpuChip | undefined {
  const [npuText = '', ...nameParts] = (top[0] ?? '').split(/\s+/)
  const chipText = (bottom[0] ?? '').split(/\s+/)[0] ?? ''
  const bus = bottom[1] ?? ''
  const numbers = /^(\S+)\s+(\d{1,9})\s*\/\s*(\d{1,9})(?:\s+(\d{1,9})\s*\/\s*(\d{1,9}))?/.exec(
    bottom[2] ?? '',
  )
  if (!/^\d{1,4}$/.test(npuText) || !/^\d{1,4}$/.test(chipText) || !numbers) return undefined
  const [, core, , , hbmUsed, hbmTotal] = numbers
  const usedMb = hasHbm ? hbmUsed : numbers[2]
  const totalMb = hasHbm ? hbmTotal : numbers[3]
  if (usedMb === undefined || totalMb === undefined) return undefined
  const [powerText = '', heatText = ''] = (top[2] ?? '').split(/\s+/)
  const health = top[1] ?? ''
  // "Warning" chips compute; they only want to be looked at.
  const healthy = /^(OK|Warning)$/i.test(health)
  return {
    npu: Number(npuText),
    chip: Number(chipText),
    device: {
      id: /^[\w:.-]{4,40}$/.test(bus) ? bus : `ascend-${npuText}-${chipText}`,
      kind: 'ascend',
      model: `Ascend ${nameParts.join(' ') || 'NPU'}`.slice(0, 100),
      memoryBytes: Number(totalMb) * 1024 * 1024,
      memoryUsedBytes: Number(usedMb) * 1024 * 1024,
      ...(core !== undefined && /^\d{1,3}$/.test(core)
        ? { utilization: Math.min(1, Number(core) / 100) }
        : {}),
      ...(isNumber(heatText) ? { temperatureCelsius: Number(heatText) } : {}),
      ...(isNumber(powerText) ? { powerWatts: Number(powerText) } : {}),
      healthy,
      ...(healthy ? {} : { problem: `npu-smi says its health is "${health.slice(0, 40)}"` }),
    },
  }
}

function isNumber(text: string): boolean {
  return /^-?\d{1,9}(\.\d{1,4})?$/.test(text)
}
