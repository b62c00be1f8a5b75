import { sameJson } from '../../base/canonical-json.ts'
import { endpointOf } from '../../decide/endpoint-of.ts'
import { lostSinceMs, mayNotEvict } from '../cluster-state.ts'
import { modelKnowledge } from '../model-facts.ts'
import { tables } from '../records.ts'
import { placementsOn } from '../views.ts'
import type { Loop, LoopContext } from './loop.ts'

/** Kinds whose records are named after a replica. */
const OF_REPLICA: readonly string[] = [
  tables.replicas.kind,
  tables.placements.kind,
  tables.replicaStatus.kind,
  tables.endpoints.kind,
]
const OF_SUSPICION: readonly string[] = [tables.nodeLeases.kind, tables.nodeConditions.kind]

/** Keeps the endpoint of each replica what `endpointOf` says. */
export function endpointLoop({ cache, committer, term }: LoopContext): Loop {
  const endpointNow = (name: string) => {
    const replica = cache.get(tables.replicas, name)?.value
    const template = replica && cache.get(tables.revisions, replica.revision)?.value.template
    if (replica === undefined || template === undefined) return undefined
    const placement = cache.get(tables.placements, name)?.value
    const status = cache.get(tables.replicaStatus, name)?.value
    const node = placement && cache.get(tables.nodes, placement.node)?.value
    return endpointOf({
      replica,
      template,
      limits: modelKnowledge(cache, template).limits,
      ...(placement === undefined ? {} : { placement }),
      ...(status === undefined ? {} : { status }),
      ...(node === undefined ? {} : { agentUrl: node.agentUrl }),
      // On suspicion of ourselves nothing is taken away: gateways find out which engines answer. The first of nodes
      // that vanish together is noted as lost while the others are only silent.
      routed: cache.get(tables.endpoints, name) !== undefined,
      nodeAlive: node !== undefined && (lostSinceMs(cache, node.name) === undefined || mayNotEvict(cache)),
    })
  }

  return {
    name: 'endpoint',

    keys: () => [
      ...new Set([...cache.all(tables.replicas), ...cache.all(tables.endpoints)].map((row) => row.name)),
    ],

    keysOf: ({ kind, name }) => {
      if (OF_REPLICA.includes(kind)) return [name]
      // One more silent node may make us suspect ourselves, which concerns the replicas of all of them.
      if (OF_SUSPICION.includes(kind)) return cache.all(tables.placements).map((row) => row.name)
      if (kind === tables.nodes.kind) return placementsOn(cache, name).map((row) => row.name)
      if (kind === tables.sources.kind) return cache.all(tables.replicas).map((row) => row.name)
      return []
    },

    async pass(name) {
      await committer.commit(
        'endpoint_loop',
        (transaction) => {
          const before = transaction.get(tables.endpoints, name)
          const after = endpointNow(name)
          if (sameJson(before, after)) return
          transaction.get(tables.replicas, name)
          transaction.get(tables.replicaStatus, name)
          const placement = transaction.get(tables.placements, name)
          if (placement) {
            transaction.get(tables.nodes, placement.node)
            transaction.get(tables.nodeLeases, placement.node)
            transaction.get(tables.nodeConditions, placement.node)
          }
          if (after) transaction.put(tables.endpoints, name, after)
          else transaction.delete(tables.endpoints, name)
        },
        term,
      )
      return undefined
    },
  }
}
