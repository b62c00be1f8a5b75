import type { ModelObject, ReplicaObject } from '../api/objects.ts'
import type { Rejection } from '../domain/model.ts'
import { type Column, tableOf } from './output.ts'
import { formatAge, formatBytes } from './units.ts'

const MARKS: Readonly<Record<string, string>> = { ready: '●', failed: '✗', degraded: '◐' }

/** Columns of a list of models. */
export function modelColumns(nowMs: number): readonly Column<ModelObject>[] {
  return [
    { title: 'NAME', value: (model) => model.name },
    { title: 'SOURCE', value: (model) => model.spec.source },
    { title: 'ENGINE', value: (model) => model.spec.engine },
    { title: 'READY', value: (model) => `${model.status.readyReplicas}/${model.status.desiredReplicas}` },
    { title: 'STATUS', value: phaseText },
    { title: 'REVISION', wide: true, value: (model) => model.status.revision ?? '-' },
    { title: 'CONTEXT', wide: true, value: (model) => String(model.spec.contextTokens ?? '-') },
    {
      title: 'ADAPTERS',
      wide: true,
      value: (model) => model.spec.adapters.map((adapter) => adapter.name).join(',') || '-',
    },
    { title: 'AGE', value: (model) => formatAge(nowMs - model.createdAtMs) },
  ]
}

/** `● ready`, with the reason when there is one. State is never carried by the mark alone. */
export function phaseText(model: ModelObject): string {
  const { phase, reason } = model.status
  return `${MARKS[phase] ?? '○'} ${phase}${reason === undefined || phase === 'ready' ? '' : ` (${reason})`}`
}

/** Columns of a list of replicas. */
export function replicaColumns(nowMs: number): readonly Column<ReplicaObject>[] {
  return [
    { title: 'REPLICA', value: (item) => item.name },
    { title: 'STATUS', value: (item) => item.status?.phase ?? 'pending' },
    { title: 'NODE', value: (item) => item.placement?.node ?? '-' },
    { title: 'DEVICES', value: (item) => item.placement?.deviceIds.join(',') || '-' },
    { title: 'MEMORY', value: (item) => (item.placement ? formatBytes(item.placement.bytesPerDevice) : '-') },
    { title: 'PORT', wide: true, value: (item) => String(item.placement?.port ?? '-') },
    { title: 'PLAN', wide: true, value: (item) => String(item.placement?.planVersion ?? '-') },
    { title: 'REVISION', wide: true, value: (item) => item.replica.revision },
    { title: 'RESTARTS', value: (item) => String(item.status?.restarts ?? 0) },
    { title: 'AGE', value: (item) => formatAge(nowMs - item.replica.createdAtMs) },
    { title: 'MESSAGE', value: (item) => item.status?.failure?.message ?? item.status?.message ?? '' },
  ]
}

/** Why a replica has no place: a line for each node and device. */
export function rejectionTable(rejections: readonly Rejection[]): string {
  return tableOf(
    ['NODE', 'DEVICE', 'REASON', 'NEED', 'HAVE', 'WHY'],
    rejections.map((rejection) => [
      rejection.node,
      rejection.device ?? '-',
      rejection.reason,
      rejection.needBytes === undefined ? '-' : formatBytes(rejection.needBytes),
      rejection.haveBytes === undefined ? '-' : formatBytes(rejection.haveBytes),
      rejection.message,
    ]),
  )
}

/** One model on one screen. */
export function modelText(model: ModelObject, replicas: readonly ReplicaObject[], nowMs: number): string {
  const { status, spec } = model
  const fields: [string, string | undefined][] = [
    ['Name', model.name],
    ['Status', phaseText(model)],
    ['Message', status.message],
    ['Source', spec.source],
    ['Engine', spec.engine],
    ['Ready', `${status.readyReplicas} of ${status.desiredReplicas}`],
    ['Revision', status.revision],
    [
      'Generation',
      `${model.generation}${status.observedGeneration === model.generation ? '' : ` (status is of ${status.observedGeneration})`}`,
    ],
    ['Context', spec.contextTokens === undefined ? undefined : `${spec.contextTokens} tokens`],
    ['Concurrency', spec.maxConcurrency === undefined ? undefined : String(spec.maxConcurrency)],
    ['Adapters', spec.adapters.map((adapter) => `${adapter.name}=${adapter.source}`).join(', ') || undefined],
    [
      'Engine args',
      Object.entries(spec.engineArgs)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ') || undefined,
    ],
    [
      'Labels',
      Object.entries(model.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(' ') || undefined,
    ],
    ['Age', formatAge(nowMs - model.createdAtMs)],
  ]
  const head = fields
    .flatMap(([title, value]) => (value === undefined ? [] : [`${`${title}:`.padEnd(13)}${value}\n`]))
    .join('')
  const columns = replicaColumns(nowMs).filter((column) => !column.wide)
  const table =
    replicas.length === 0
      ? ''
      : `\n${tableOf(
          columns.map((column) => column.title),
          replicas.map((item) => columns.map((column) => column.value(item))),
        )}`
  const why =
    status.rejections.length === 0 ? '' : `\nNo place was found:\n${rejectionTable(status.rejections)}`
  return head + table + why
}
