import { YardError } from '../../base/errors.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { tables } from '../records.ts'
import { found, replicaObject } from '../views.ts'
import { readReplicaLogs } from './replica-logs.ts'

type ReplicaHandlers = Pick<Handlers, 'listReplicas' | 'getReplica' | 'drainReplica' | 'replicaLogs'>

/** Running copies of models, as people see and stop them. */
export function replicaHandlers(context: ControlContext): ReplicaHandlers {
  const { cache, committer, clock } = context
  const answer = (name: string) =>
    replicaObject(cache, found(cache.get(tables.replicas, name), 'replica', name))

  return {
    async listReplicas({ query }) {
      const rows = cache
        .all(tables.replicas)
        .filter((row) => query.model === undefined || row.value.model === query.model)
      return {
        resourceVersion: String(cache.revision),
        items: rows.map((row) => replicaObject(cache, row)),
      }
    },

    async getReplica({ params }) {
      return answer(params.name)
    },

    async drainReplica({ params: { name } }) {
      found(cache.get(tables.replicas, name), 'replica', name)
      const before = await committer.commit('api', (transaction) => {
        const replica = transaction.get(tables.replicas, name)
        if (replica === undefined || replica.intent === 'stop') return answer(name)
        const stopped = { ...replica, intent: 'stop', reason: 'drained', stopAtMs: clock.now() } as const
        transaction.put(tables.replicas, name, stopped)
        transaction.event({
          type: 'normal',
          object: { kind: 'replica', name },
          reason: 'drained',
          message: 'told to finish its requests and stop; another takes its place',
        })
        return { ...answer(name), replica: stopped }
      })
      // One that nothing runs of may be gone by now.
      return cache.get(tables.replicas, name) === undefined ? before : answer(name)
    },

    async replicaLogs({ params: { name }, query, signal }) {
      found(cache.get(tables.replicas, name), 'replica', name)
      const placement = cache.get(tables.placements, name)?.value
      if (placement === undefined) {
        throw new YardError('not_found', `"${name}" has no place yet, so it has written nothing`, {
          reason: 'not_placed',
          hint: `see why with yard status ${cache.get(tables.replicas, name)?.value.model ?? ''}`,
        })
      }
      const node = found(cache.get(tables.nodes, placement.node), 'node', placement.node).value
      return readReplicaLogs(context, node, name, query, signal)
    },
  }
}
