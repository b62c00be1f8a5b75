import type { ControlContext } from './context.ts'
import { tables } from './records.ts'

/** Numbers about the cluster, read from the mirror when they are asked for. */
export function readClusterMetrics({ cache, metrics, version }: ControlContext): void {
  const tally = (values: readonly string[], label: string) => {
    const counts = new Map<string, number>()
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
    return [...counts].map(([value, count]) => ({ labels: { [label]: value }, value: count }))
  }
  metrics.read('yard_control_build_info', () => [{ labels: { version }, value: 1 }])
  metrics.read('yard_control_revision', () => [{ value: cache.revision }])
  metrics.read('yard_control_unreadable_records', () => [{ value: cache.unreadable }])
  metrics.read('yard_control_store_contact_age_seconds', () => {
    const { contactAgeMs } = cache.freshness()
    return contactAgeMs === undefined ? [] : [{ value: contactAgeMs / 1000 }]
  })
  metrics.read('yard_control_plan_version', () =>
    cache.all(tables.plan).map((row) => ({ value: row.value.planVersion })),
  )
  metrics.read('yard_control_nodes', () => {
    const states = cache.all(tables.nodes).map(({ name, value }) => {
      const reports = cache.get(tables.nodeLeases, name) !== undefined
      return reports ? (value.cordoned ? 'cordoned' : 'ready') : 'not_reporting'
    })
    return tally(states, 'state')
  })
  metrics.read('yard_control_replicas', () => {
    const phaseOf = (name: string) => cache.get(tables.replicaStatus, name)?.value.phase ?? 'pending'
    return tally(
      cache.all(tables.replicas).map((row) => phaseOf(row.name)),
      'phase',
    )
  })
  metrics.read('yard_control_unplaced_replicas', () => [{ value: cache.all(tables.unplaced).length }])
  metrics.read('yard_model_desired_replicas', () =>
    cache
      .all(tables.modelStatus)
      .map(({ name, value }) => ({ labels: { model: name }, value: value.desiredReplicas })),
  )
  metrics.read('yard_model_ready_replicas', () =>
    cache
      .all(tables.modelStatus)
      .map(({ name, value }) => ({ labels: { model: name }, value: value.readyReplicas })),
  )
}
