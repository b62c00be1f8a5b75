import type { Device } from '../../domain/node.ts'
import { amountIn, fieldsOf, jsonIn, textIn } from './json-text.ts'

/**
 * Reads `rocm-smi … --json` (also Hygon's, which says DCU or HCU for GPU and MiB for B): one object a card, every value
 * a string, the names of some by product.
 */
export function parseRocmSmi(text: string): Device[] {
  const devices: Device[] = []
  for (const [key, value] of Object.entries(fieldsOf(jsonIn(text)))) {
    const index = /^card(\d{1,4})$/.exec(key)?.[1]
    if (index !== undefined) devices.push(readCard(Number(index), fieldsOf(value)))
  }
  return devices.sort((a, b) => (a.index ?? 0) - (b.index ?? 0))
}

function readCard(index: number, card: Readonly<Record<string, unknown>>): Device {
  const find = (pattern: RegExp) => Object.entries(card).find(([name]) => pattern.test(name))
  const amount = (...patterns: RegExp[]) => {
    for (const pattern of patterns) {
      const found = amountIn(find(pattern)?.[1])
      if (found !== undefined) return found
    }
    return undefined
  }
  const total = memoryBytes(find(/^vram total memory \(/i))
  const used = memoryBytes(find(/^vram total used memory \(/i))
  const use = amount(/^[GDH]CU use \(%\)$/i, /^GPU use \(%\)$/i)
  const heat = amount(
    /^temperature \(sensor (junction|hotspot)\)/i,
    /^temperature \(sensor edge\)/i,
    /^temperature/i,
  )
  const power = amount(/power \(W\)$/i)
  return {
    id:
      textIn(card['Unique ID']) ??
      textIn(card['PCI Bus']) ??
      textIn(card['Serial Number']) ??
      `rocm-${index}`,
    kind: 'rocm',
    model:
      textIn(card['Card Series']) ?? textIn(card['Card Model']) ?? textIn(card['GFX Version']) ?? 'AMD GPU',
    index,
    memoryBytes: total ?? 0,
    ...(used === undefined ? {} : { memoryUsedBytes: used }),
    ...(use === undefined ? {} : { utilization: Math.min(1, Math.max(0, use / 100)) }),
    ...(heat === undefined ? {} : { temperatureCelsius: heat }),
    ...(power === undefined ? {} : { powerWatts: power }),
    healthy: total !== undefined,
    ...(total === undefined ? { problem: 'rocm-smi does not tell how much memory it has' } : {}),
  }
}

function memoryBytes(entry: readonly [string, unknown] | undefined): number | undefined {
  const amount = amountIn(entry?.[1])
  if (entry === undefined || amount === undefined || amount < 0) return undefined
  return Math.round(/\(MiB\)$/i.test(entry[0]) ? amount * 1024 * 1024 : amount)
}
