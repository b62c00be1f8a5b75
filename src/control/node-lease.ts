import { YardError } from '../base/errors.ts'
import type { ControlContext } from './context.ts'
import { tables } from './records.ts'

/** How long a node counts as alive without a beat. */
export const NODE_LEASE_TTL_MS = 15_000
/** How often an agent is to beat: a lease lives for several beats. */
export const NODE_BEAT_MS = 3_000

/**
 * Keeps a node's lease alive for the agent that has it; false when it has none. The store lease is found in its own
 * record, so that an agent may beat at any server.
 */
export async function keepNodeLease(
  { cache, store }: Pick<ControlContext, 'cache' | 'store'>,
  node: string,
  agentId: string,
): Promise<boolean> {
  const held = cache.get(tables.nodeLeases, node)?.value
  return held?.agentId === agentId && (await store.keepAlive(held.leaseId))
}

/** Gives a node a new lease. Throws `conflict` when another agent has taken the name. */
export async function grantNodeLease(
  { store, committer }: Pick<ControlContext, 'store' | 'committer'>,
  node: string,
  agentId: string,
): Promise<void> {
  const leaseId = await store.grantLease(NODE_LEASE_TTL_MS)
  try {
    await committer.commit('node_lease', (transaction) => {
      if (transaction.get(tables.nodes, node)?.agentId !== agentId) throw agentReplaced(node)
      // Whatever lease the key had, it ends with its own time: the key is on this one now.
      transaction.put(tables.nodeLeases, node, { node, agentId, leaseId }, leaseId)
    })
  } catch (error) {
    await store.revokeLease(leaseId).catch(() => {})
    throw error
  }
}

/** The fault of an agent whose name another one has taken. It must stop acting for the node. */
export function agentReplaced(node: string): YardError {
  return new YardError('conflict', `another agent has registered as node "${node}"`, {
    reason: 'agent_replaced',
    hint: 'stop this agent, or give it another --name and join again',
  })
}
