import { YardError } from '../../base/errors.ts'
import { writeCondition } from '../cluster-state.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { tables } from '../records.ts'
import { found, nodeObject, notFound, placementsOn } from '../views.ts'
import { machineKeysOf } from './machine-keys.ts'

type NodeHandlers = Pick<Handlers, 'listNodes' | 'getNode' | 'removeNode' | 'cordonNode' | 'uncordonNode'>

/** Machines, as people see and steer them. */
export function nodeHandlers(context: ControlContext): NodeHandlers {
  const { cache, committer, clock } = context
  const answer = (name: string) => nodeObject(cache, found(cache.get(tables.nodes, name), 'node', name))

  const setCordoned = async (name: string, cordoned: boolean) => {
    await committer.commit('api', (transaction) => {
      const node = transaction.get(tables.nodes, name)
      if (node === undefined) throw notFound('node', name)
      if (node.cordoned === cordoned) return
      transaction.put(tables.nodes, name, { ...node, cordoned })
      transaction.event({
        type: 'normal',
        object: { kind: 'node', name },
        reason: cordoned ? 'cordoned' : 'uncordoned',
        message: cordoned ? 'takes no new replicas' : 'takes replicas again',
      })
    })
    return answer(name)
  }

  return {
    async listNodes() {
      const items = cache.all(tables.nodes).map((row) => nodeObject(cache, row))
      return { resourceVersion: String(cache.revision), items }
    },

    async getNode({ params }) {
      return answer(params.name)
    },

    cordonNode: ({ params }) => setCordoned(params.name, true),
    uncordonNode: ({ params }) => setCordoned(params.name, false),

    async removeNode({ params: { name } }) {
      await committer.commit('api', (transaction) => {
        if (transaction.get(tables.nodes, name) === undefined) throw notFound('node', name)
        const alive = transaction.get(tables.nodeLeases, name) !== undefined
        const placed = placementsOn(cache, name).length
        // Its agent would go on running what the rest of the cluster has forgotten.
        if (alive && placed > 0) throw stillServing(name, placed)
        transaction.delete(tables.nodes, name)
        transaction.delete(tables.nodeStatus, name)
        transaction.delete(tables.nodeLeases, name)
        writeCondition(cache, transaction, name, undefined, clock.now())
        for (const id of machineKeysOf(cache, 'node', name)) transaction.delete(tables.keys, id)
        const message = 'forgotten; its key is revoked'
        transaction.event({ type: 'normal', object: { kind: 'node', name }, reason: 'removed', message })
      })
      return {}
    },
  }
}

function stillServing(name: string, placed: number): YardError {
  const replicas = `${placed} ${placed === 1 ? 'replica' : 'replicas'}`
  return new YardError('conflict', `node "${name}" reports and holds ${replicas}`, {
    reason: 'node_in_use',
    hint: `yard node cordon ${name}, then yard replica drain each of them; or stop its agent and wait until it is lost`,
    details: { placements: placed },
  })
}
