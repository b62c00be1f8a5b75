import type { Device } from '../../domain/node.ts'
import { amountIn, fieldsOf, jsonIn, textIn } from './json-text.ts'

/**
 * Joins `amd-smi list --json`, `static --asic --bus --vram --json` and `metric -m -u -p -t --json` by GPU number. Each
 * may be an array or `{"gpu_data": […]}`, each value `{value, unit}`, a bare number or `"N/A"`, by version. A GPU whose
 * memory neither tells is left out of none: it is there and not healthy.
 */
export function parseAmdSmi(texts: {
  readonly list: string
  readonly fixed: string
  readonly metric: string
}): Device[] {
  const list = byGpu(texts.list)
  const fixed = byGpu(texts.fixed)
  const metric = byGpu(texts.metric)
  const indexes = [...new Set([...list.keys(), ...fixed.keys(), ...metric.keys()])].sort((a, b) => a - b)
  return indexes.map((index) =>
    readGpu(index, fieldsOf(list.get(index)), fieldsOf(fixed.get(index)), fieldsOf(metric.get(index))),
  )
}

type Fields = Readonly<Record<string, unknown>>

function readGpu(index: number, list: Fields, fixed: Fields, metric: Fields): Device {
  const memory = fieldsOf(metric.mem_usage)
  const totalBytes = memoryBytes(memory.total_vram) ?? memoryBytes(fieldsOf(fixed.vram).size)
  const usedBytes = memoryBytes(memory.used_vram)
  const activity = amountIn(fieldsOf(metric.usage).gfx_activity)
  const heat = fieldsOf(metric.temperature)
  const temperature = amountIn(heat.hotspot) ?? amountIn(heat.edge)
  const power = fieldsOf(metric.power)
  const watts = amountIn(power.socket_power) ?? amountIn(power.average_socket_power)
  const asic = fieldsOf(fixed.asic)
  return {
    id: textIn(list.uuid) ?? textIn(asic.asic_serial) ?? textIn(fieldsOf(fixed.bus).bdf) ?? `rocm-${index}`,
    kind: 'rocm',
    model: textIn(asic.market_name) ?? 'AMD GPU',
    index,
    memoryBytes: totalBytes ?? 0,
    ...(usedBytes === undefined ? {} : { memoryUsedBytes: usedBytes }),
    ...(activity === undefined ? {} : { utilization: Math.min(1, Math.max(0, activity / 100)) }),
    ...(temperature === undefined ? {} : { temperatureCelsius: temperature }),
    ...(watts === undefined ? {} : { powerWatts: watts }),
    healthy: totalBytes !== undefined,
    ...(totalBytes === undefined ? { problem: 'amd-smi does not tell how much memory it has' } : {}),
  }
}

function byGpu(text: string): ReadonlyMap<number, unknown> {
  const json = jsonIn(text)
  const rows = Array.isArray(json) ? json : fieldsOf(json).gpu_data
  const found = new Map<number, unknown>()
  for (const row of Array.isArray(rows) ? rows : []) {
    const index = fieldsOf(row).gpu
    if (typeof index === 'number' && Number.isInteger(index) && index >= 0) found.set(index, row)
  }
  return found
}

/** amd-smi says MB and means MiB. */
function memoryBytes(value: unknown): number | undefined {
  const amount = amountIn(value)
  if (amount === undefined || amount < 0) return undefined
  const unit = fieldsOf(value).unit
  if (unit === 'B') return Math.round(amount)
  return Math.round(amount * (unit === 'GB' ? 1024 : 1) * 1024 * 1024)
}
