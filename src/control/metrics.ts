import { MetricRegistry } from '../base/metric-registry.ts'

const DEFINITIONS = {
  yard_control_build_info: { kind: 'gauge', help: 'Version of this server; always 1' },
  yard_control_requests_total: { kind: 'counter', help: 'Requests to the control API' },
  yard_control_request_duration_seconds: {
    kind: 'histogram',
    help: 'Time to answer, without long polls and streams',
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
  },
  yard_control_transactions_total: {
    kind: 'counter',
    help: 'Transactions by who made them and how they ended',
  },
  yard_control_passes_total: { kind: 'counter', help: 'Passes of the controller loops' },
  yard_control_faults_total: {
    kind: 'counter',
    help: 'Passes of the controller loops that ended in a fault',
  },
  yard_control_queue_depth: { kind: 'gauge', help: 'Keys that wait or are worked, by loop' },
  yard_control_leader: { kind: 'gauge', help: '1 while this server runs the loops' },
  yard_control_revision: { kind: 'gauge', help: 'Store revision of the mirror' },
  yard_control_store_contact_age_seconds: { kind: 'gauge', help: 'Time since the store last answered' },
  yard_control_unreadable_records: { kind: 'gauge', help: 'Records that this version could not read' },
  yard_control_plan_version: { kind: 'gauge', help: 'Version of the plan' },
  yard_control_nodes: { kind: 'gauge', help: 'Nodes by state' },
  yard_control_replicas: { kind: 'gauge', help: 'Replicas by phase' },
  yard_control_unplaced_replicas: { kind: 'gauge', help: 'Replicas that no node has room for' },
  yard_model_desired_replicas: { kind: 'gauge', help: 'Replicas asked for' },
  yard_model_ready_replicas: { kind: 'gauge', help: 'Replicas that serve' },
} as const

/** The metrics of the control plane. */
export type Metrics = MetricRegistry<keyof typeof DEFINITIONS>

export function createMetrics(): Metrics {
  return new MetricRegistry(DEFINITIONS)
}
