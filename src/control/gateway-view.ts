import type { GatewayView } from '../api/objects.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { keyPepper, replicaCredential } from './machine-credentials.ts'
import { ONLY, tables } from './records.ts'

/** All that a gateway needs to serve without asking, but for the revision. */
export function gatewayViewOf(cache: ClusterCache, pepper: string): Omit<GatewayView, 'revision'> {
  return {
    planVersion: cache.get(tables.plan, ONLY)?.value.planVersion ?? 0,
    models: cache
      .all(tables.models)
      .map((row) => row.value)
      .filter((model) => model.deletedAtMs === undefined)
      .map((model) => ({
        name: model.name,
        createdAtMs: model.createdAtMs,
        adapters: model.spec.adapters.map((adapter) => adapter.name),
        phase: cache.get(tables.modelStatus, model.name)?.value.phase ?? 'pending',
      })),
    endpoints: cache.all(tables.endpoints).map(({ value }) => ({
      ...value,
      // The key of somebody else's service is the gateway's own affair.
      ...(value.address.kind === 'node' ? { credential: replicaCredential(pepper, value.replica) } : {}),
    })),
    // Machines call control, not models.
    keys: cache
      .all(tables.keys)
      .map((row) => row.value)
      .filter((key) => !key.scopes.includes('node') && !key.scopes.includes('gateway')),
    pepper: keyPepper(pepper),
  }
}
