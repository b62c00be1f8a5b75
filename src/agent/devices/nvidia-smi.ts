import type { Device } from '../../domain/node.ts'

/**
 * Field lists to ask for, richest first; a driver that does not know a field refuses the whole query
 * (`mig.mode.current` needs R450).
 */
export const NVIDIA_FIELD_LISTS: readonly (readonly string[])[] = [
  [
    'index',
    'uuid',
    'name',
    'memory.total',
    'memory.used',
    'utilization.gpu',
    'temperature.gpu',
    'power.draw',
    'mig.mode.current',
  ],
  [
    'index',
    'uuid',
    'name',
    'memory.total',
    'memory.used',
    'utilization.gpu',
    'temperature.gpu',
    'power.draw',
  ],
  ['index', 'uuid', 'name', 'memory.total', 'memory.used'],
]

export interface NvidiaCard {
  readonly device: Device
  /** MIG is on: the card itself can't be used, its instances can. */
  readonly mig: boolean
  /** The driver does not tell how much memory there is (machines where GPU and CPU share it). */
  readonly memoryUntold: boolean
}

/**
 * Reads `--query-gpu=<fields> --format=csv,noheader,nounits`. Lines that name no GPU are left out. Values may also be
 * `[N/A]`, `[Not Supported]`, `[Insufficient Permissions]` (not told) or `[GPU requires reset]`, `[GPU is lost]`,
 * `[Unknown Error]`, `ERR!` (a fault).
 */
export function parseNvidiaQuery(text: string, fields: readonly string[]): NvidiaCard[] {
  const cards = new Map<string, NvidiaCard>()
  for (const line of text.split('\n')) {
    const cells = splitCells(line, fields)
    const card = cells && readCard(cells)
    if (card && !cards.has(card.device.id)) cards.set(card.device.id, card)
  }
  return [...cards.values()]
}

/** Cells by field. The name is the only field that may itself hold a comma. */
function splitCells(line: string, fields: readonly string[]): ReadonlyMap<string, string> | undefined {
  const parts = line.split(',').map((part) => part.trim())
  const extra = parts.length - fields.length
  if (extra < 0) return undefined
  const at = fields.indexOf('name')
  if (extra > 0) parts.splice(at, extra + 1, parts.slice(at, at + extra + 1).join(', '))
  return new Map(fields.map((field, index) => [field, parts[index] ?? '']))
}

function readCard(cells: ReadonlyMap<string, string>): NvidiaCard | undefined {
  const uuid = cells.get('uuid') ?? ''
  if (!/^GPU-[\w-]{1,100}$/.test(uuid)) return undefined
  const total = readAmount(cells.get('memory.total'))
  const used = readAmount(cells.get('memory.used'))
  const utilization = readAmount(cells.get('utilization.gpu')).value
  const temperature = readAmount(cells.get('temperature.gpu')).value
  const power = readAmount(cells.get('power.draw')).value
  const index = cells.get('index') ?? ''
  const fault = faultOf([...cells.values()]) ?? total.fault
  return {
    device: {
      id: uuid,
      kind: 'cuda',
      model: cells.get('name') ?? '',
      ...(/^\d{1,4}$/.test(index) ? { index: Number(index) } : {}),
      memoryBytes: mebibytes(total.value ?? 0),
      ...(used.value === undefined ? {} : { memoryUsedBytes: mebibytes(used.value) }),
      ...(utilization === undefined ? {} : { utilization: Math.min(1, Math.max(0, utilization / 100)) }),
      ...(temperature === undefined ? {} : { temperatureCelsius: temperature }),
      ...(power === undefined ? {} : { powerWatts: power }),
      healthy: fault === undefined,
      ...(fault === undefined ? {} : { problem: `nvidia-smi says "${fault}"` }),
    },
    mig: cells.get('mig.mode.current') === 'Enabled',
    memoryUntold: total.value === undefined && total.fault === undefined,
  }
}

/** A number with or without its unit; a fault where the tool names one; neither where it does not tell. */
function readAmount(cell: string | undefined): { value?: number; fault?: string } {
  const text = (cell ?? '').replace(/^\[(.*)\]$/, '$1')
  const match = /^(-?\d{1,15}(?:\.\d{1,6})?)(?:\s*(?:MiB|%|W|C))?$/.exec(text)
  if (match) return { value: Number(match[1]) }
  return /^(ERR!|Unknown Error)$/i.test(text) ? { fault: text } : {}
}

/** A fault that concerns the whole GPU stands in any of its cells. */
function faultOf(cells: readonly string[]): string | undefined {
  const cell = cells.find((text) => /requires reset|is lost|fallen off/i.test(text))
  return cell?.replace(/^\[(.*)\]$/, '$1').slice(0, 100)
}

function mebibytes(count: number): number {
  return Math.round(Math.max(0, count) * 1024 * 1024)
}
