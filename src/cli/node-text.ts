import type { NodeObject } from '../api/objects.ts'
import type { Device } from '../domain/node.ts'
import { type Column, tableOf } from './output.ts'
import { formatAge, formatBytes } from './units.ts'

/** Columns of a list of nodes. */
export function nodeColumns(nowMs: number): readonly Column<NodeObject>[] {
  return [
    { title: 'NAME', value: (node) => node.name },
    { title: 'STATUS', value: (node) => (node.ready ? '● ready' : '✗ not reporting') },
    { title: 'SCHEDULING', value: (node) => (node.node.cordoned ? 'cordoned' : 'open') },
    { title: 'DEVICES', value: (node) => deviceSummary(node.status?.devices ?? []) },
    { title: 'MEMORY RESERVED/TOTAL', value: memorySummary },
    { title: 'REPLICAS', value: (node) => String(node.placements.length) },
    { title: 'AGENT', wide: true, value: (node) => node.node.agentUrl },
    {
      title: 'LABELS',
      wide: true,
      value: (node) =>
        Object.entries(node.node.labels)
          .map(([key, value]) => `${key}=${value}`)
          .join(',') || '-',
    },
    { title: 'VERSION', wide: true, value: (node) => node.status?.version ?? '-' },
    { title: 'AGE', value: (node) => formatAge(nowMs - node.node.registeredAtMs) },
  ]
}

/** One node on one screen. */
export function nodeText(node: NodeObject, nowMs: number): string {
  const { status } = node
  const head = [
    ['Name', node.name],
    ['Status', node.ready ? '● ready' : '✗ not reporting'],
    ['Scheduling', node.node.cordoned ? 'cordoned' : 'open'],
    ['Agent', node.node.agentUrl],
    ['Version', status?.version ?? '-'],
    ['Platform', status?.platform ?? '-'],
    ['Engines', status?.engines.join(', ') ?? '-'],
    [
      'Ports',
      status
        ? `${status.enginePorts.first}–${status.enginePorts.last}${status.takenPorts.length > 0 ? `, in use by others: ${status.takenPorts.join(', ')}` : ''}`
        : '-',
    ],
    [
      'Labels',
      Object.entries(node.node.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ') || '-',
    ],
    ['Age', formatAge(nowMs - node.node.registeredAtMs)],
  ]
    .map(([title, value]) => `${`${title}:`.padEnd(13)}${value}\n`)
    .join('')
  const devices = status
    ? `\n${tableOf(
        ['DEVICE', 'KIND', 'MODEL', 'MEMORY', 'IN USE', 'RESERVED', 'HEALTH'],
        status.devices.map((device) => [
          device.id,
          device.kind,
          device.model,
          formatBytes(device.memoryBytes),
          device.memoryUsedBytes === undefined ? '-' : formatBytes(device.memoryUsedBytes),
          formatBytes(reservedOn(node, device)),
          device.healthy ? 'ok' : (device.problem ?? 'not healthy'),
        ]),
      )}`
    : ''
  const replicas =
    node.placements.length === 0
      ? ''
      : `\n${tableOf(
          ['REPLICA', 'MODEL', 'DEVICES', 'MEMORY', 'PORT'],
          node.placements.map((placement) => [
            placement.replica,
            placement.model,
            placement.deviceIds.join(',') || '-',
            formatBytes(placement.bytesPerDevice),
            String(placement.port),
          ]),
        )}`
  return head + devices + replicas
}

function deviceSummary(devices: readonly Device[]): string {
  const counts = new Map<string, number>()
  for (const device of devices) counts.set(device.kind, (counts.get(device.kind) ?? 0) + 1)
  return [...counts].map(([kind, count]) => (count === 1 ? kind : `${count}×${kind}`)).join(' ') || '-'
}

function memorySummary(node: NodeObject): string {
  const devices = node.status?.devices ?? []
  const total = devices.reduce((sum, device) => sum + device.memoryBytes, 0)
  const reserved = devices.reduce((sum, device) => sum + reservedOn(node, device), 0)
  return `${formatBytes(reserved)} / ${formatBytes(total)}`
}

function reservedOn(node: NodeObject, device: Device): number {
  return node.placements.reduce(
    (sum, placement) =>
      sum +
      (placement.deviceIds.includes(device.id) ? placement.bytesPerDevice : 0) +
      (device.kind === 'cpu' ? placement.hostMemoryBytes : 0),
    0,
  )
}
