import { sameJson } from '../../base/canonical-json.ts'
import { YardError } from '../../base/errors.ts'
import type { NodeStatus } from '../../domain/node.ts'
import type { ReplicaStatus } from '../../domain/replica.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { agentReplaced, grantNodeLease, keepNodeLease, NODE_BEAT_MS } from '../node-lease.ts'
import { tables } from '../records.ts'
import { replicaEvent } from '../replica-events.ts'
import type { Transaction } from '../transaction.ts'
import { checkAgentUrl } from './registration.ts'

/** Readings that change all the time are written no more often than this. */
const READINGS_EVERY_MS = 30_000
const PROGRESS_EVERY_MS = 2_000
/** Statuses written by one transaction. */
const AT_A_TIME = 40

/**
 * An agent's beat: its lease first, then what changed of its node and replicas. What it says of a replica counts
 * only for the plan that placed that replica on this node; what it no longer mentions is no longer known.
 */
export function heartbeatHandler(context: ControlContext): Pick<Handlers, 'heartbeat'> {
  const { cache, committer, clock } = context
  const readingsAtMs = new Map<string, number>()
  const progressAtMs = new Map<string, number>()

  const isDue = (times: Map<string, number>, name: string, everyMs: number) =>
    clock.monotonicMs() - (times.get(name) ?? Number.NEGATIVE_INFINITY) >= everyMs

  const writeNode = (transaction: Transaction, name: string, agentUrl: string, status: NodeStatus) => {
    const node = transaction.get(tables.nodes, name)
    if (node === undefined) return
    if (node.agentUrl !== agentUrl) transaction.put(tables.nodes, name, { ...node, agentUrl })
    const before = cache.get(tables.nodeStatus, name)?.value
    if (before && sameJson(before, status)) return
    const onlyReadings = before && sameJson(withoutReadings(before), withoutReadings(status))
    if (onlyReadings && !isDue(readingsAtMs, name, READINGS_EVERY_MS)) return
    readingsAtMs.set(name, clock.monotonicMs())
    transaction.put(tables.nodeStatus, name, status)
  }

  const writeReplica = (transaction: Transaction, node: string, status: ReplicaStatus) => {
    const placement = transaction.get(tables.placements, status.replica)
    if (placement?.node !== node || placement.planVersion !== status.planVersion) return
    const before = transaction.get(tables.replicaStatus, status.replica)
    if (before && sameJson(before, status)) return
    const onlyProgress = before && sameJson(withoutProgress(before), withoutProgress(status))
    if (onlyProgress && !isDue(progressAtMs, status.replica, PROGRESS_EVERY_MS)) return
    progressAtMs.set(status.replica, clock.monotonicMs())
    transaction.put(tables.replicaStatus, status.replica, status)
    const event = replicaEvent(before, status)
    if (event) transaction.event(event)
  }

  const forgetProgress = () => {
    for (const replica of progressAtMs.keys()) {
      if (cache.get(tables.replicaStatus, replica) === undefined) progressAtMs.delete(replica)
    }
  }

  return {
    async heartbeat({ params: { name }, body }) {
      const node = cache.get(tables.nodes, name)?.value
      if (node === undefined) throw noSuchNode(name)
      if (node.agentId !== body.agentId) throw agentReplaced(name)
      const agentUrl = checkAgentUrl(body.agentUrl)
      const alive = await keepNodeLease(context, name, body.agentId)
      const guarded = (transaction: Transaction) => {
        if (transaction.get(tables.nodes, name)?.agentId !== body.agentId) throw agentReplaced(name)
      }
      await committer.commit('heartbeat', (transaction) => {
        guarded(transaction)
        writeNode(transaction, name, agentUrl, { ...body.status, name })
      })
      const reported = new Map(body.replicas.map((status) => [status.replica, { ...status, node: name }]))
      const known = cache
        .all(tables.replicaStatus)
        .filter((row) => row.value.node === name && !reported.has(row.name))
        .map((row) => row.name)
      const todo: ((transaction: Transaction) => void)[] = [
        ...[...reported.values()].map(
          (status) => (transaction: Transaction) => writeReplica(transaction, name, status),
        ),
        ...known.map(
          (replica) => (transaction: Transaction) => transaction.delete(tables.replicaStatus, replica),
        ),
      ]
      for (let at = 0; at < todo.length; at += AT_A_TIME) {
        await committer.commit('heartbeat', (transaction) => {
          guarded(transaction)
          for (const write of todo.slice(at, at + AT_A_TIME)) write(transaction)
        })
      }
      // A node that comes back counts as ready only once what it has is known.
      if (!alive) await grantNodeLease(context, name, body.agentId)
      forgetProgress()
      return { nextBeatMs: NODE_BEAT_MS }
    },
  }
}

/** A node's status without what flickers. Memory in use counts in sixty-fourths of the device. */
function withoutReadings(status: NodeStatus): unknown {
  return {
    ...status,
    devices: status.devices.map(
      ({ memoryUsedBytes, utilization: _, temperatureCelsius: __, powerWatts: ___, ...rest }) => ({
        ...rest,
        ...(memoryUsedBytes === undefined
          ? {}
          : { used: Math.round((memoryUsedBytes / Math.max(1, rest.memoryBytes)) * 64) }),
      }),
    ),
  }
}

function withoutProgress({ progress: _, message: __, ...rest }: ReplicaStatus): unknown {
  return rest
}

function noSuchNode(name: string): YardError {
  return new YardError('not_found', `node "${name}" is not registered any more`, {
    reason: 'node',
    hint: 'join again with a join token',
  })
}
