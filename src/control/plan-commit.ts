import type { PlacedReplica } from '../decide/index.ts'
import { ONLY, tables } from './records.ts'
import type { Transaction } from './transaction.ts'

/** Room that one placement may need: its replica, places, and its node's three records. */
const ROOM_FOR_ONE = 8

/**
 * Puts as many placements into a transaction as fit, under the next planVersion, and returns how many. What the plan
 * rests on is compared: the plan before it, each replica (still to run, still without a place), and each chosen
 * node's record, report and lease. When any of them has changed, the transaction conflicts and the plan is made anew.
 */
export function commitPlan(
  transaction: Transaction,
  placed: readonly PlacedReplica[],
  nowMs: number,
): number {
  if (placed.length === 0) return 0
  const planVersion = (transaction.get(tables.plan, ONLY)?.planVersion ?? 0) + 1
  let count = 0
  for (const place of placed) {
    if (transaction.room < ROOM_FOR_ONE) break
    count++
    const { replica: name, node, deviceIds, port } = place
    transaction.get(tables.nodes, node)
    transaction.get(tables.nodeStatus, node)
    transaction.get(tables.nodeLeases, node)
    transaction.get(tables.replicas, name)
    transaction.put(tables.placements, name, { ...place, planVersion })
    transaction.delete(tables.unplaced, name)
    const devices = deviceIds.length === 0 ? '' : ` (${deviceIds.join(', ')})`
    transaction.event({
      type: 'normal',
      object: { kind: 'replica', name },
      reason: 'placed',
      message: `placed on ${node}${devices}, port ${port}`,
    })
  }
  transaction.put(tables.plan, ONLY, { planVersion, committedAtMs: nowMs })
  return count
}
