import type { Clock, Timer } from '../base/clock.ts'
import { errorText } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { type NodeAction, reconcileNode } from '../decide/reconcile-node.ts'
import type { LocalOccupancy } from '../domain/node.ts'
import type { Assignment, ReplicaStatus } from '../domain/replica.ts'
import type { FoundRun } from './processes/spawner.ts'
import { KILL } from './replica/replica-context.ts'
import type { ReplicaDeps } from './replica/replica-deps.ts'
import { createReplicaWorker, type ReplicaWorker } from './replica/replica-worker.ts'
import { stopEngine } from './replica/stop-engine.ts'

/** All replicas of this node, and what is done about them. */
export interface ReplicaSet {
  /** Goes on with what is on disk and what runs. Call once, first. */
  adopt(): Promise<void>
  /** Takes over what control wants, whole. Not to be called again before it resolves. */
  want(assignments: readonly Assignment[]): Promise<void>
  statuses(node: string): ReplicaStatus[]
  occupancy(): LocalOccupancy[]
  /** An engine that may be called now. */
  serving(replica: string): Assignment | undefined
  /** Stops every engine and forgets it; nothing is started any more. */
  stopAll(): Promise<void>
  /** Ends all work and leaves the engines running. */
  detach(): Promise<void>
}

const SERVING = new Set(['ready', 'unhealthy', 'draining'])

export function createReplicaSet(deps: {
  readonly clock: Clock
  readonly log: Log
  /** `changed` is called after each change that is worth a report. */
  readonly changed: () => void
  readonly replicaDeps: Omit<ReplicaDeps, 'changed'>
}): ReplicaSet {
  const { clock, log, replicaDeps } = deps
  const workers = new Map<string, ReplicaWorker>()
  const leaving = new Set<string>()
  let orphans: readonly FoundRun[] = []
  let desired: readonly Assignment[] | undefined
  let wakeTimer: Timer | undefined
  let queued = false
  let closed = false
  const detached = new AbortController()

  const changed = () => {
    deps.changed()
    if (queued || closed) return
    queued = true
    queueMicrotask(() => {
      queued = false
      if (!closed) reconcile()
    })
  }

  const make = (from: Parameters<typeof createReplicaWorker>[0]): ReplicaWorker => {
    const worker = createReplicaWorker(from, { ...replicaDeps, changed })
    workers.set(worker.assignment.replica, worker)
    return worker
  }

  const reconcile = () => {
    wakeTimer?.cancel()
    const present = [...workers.values()].filter((worker) => !leaving.has(worker.assignment.replica))
    const decision = reconcileNode({
      // Until control has answered, what it wanted last holds: engines that end are started again without it.
      desired: desired ?? present.map((worker) => worker.assignment),
      actual: present.map((worker) => worker.local()),
      desiredKnown: desired !== undefined,
      deviceBytes: Object.fromEntries(replicaDeps.devices().map(({ id, memoryBytes }) => [id, memoryBytes])),
      nowMs: clock.now(),
    })
    for (const action of decision.actions) act(action)
    if (decision.wakeAtMs !== undefined) {
      wakeTimer = clock.after(Math.max(0, decision.wakeAtMs - clock.now()), changed)
    }
  }

  const act = (action: NodeAction) => {
    const { replica } = action
    if (leaving.has(replica)) return
    log.info('node_action', {
      action: action.kind,
      replica,
      ...('reason' in action ? { reason: action.reason } : {}),
    })
    const worker = workers.get(replica)
    switch (action.kind) {
      case 'start': {
        const assignment = desired?.find((one) => one.replica === replica)
        if (worker) worker.start()
        else if (assignment) make(assignment).start()
        return
      }
      case 'drain':
        worker?.drain()
        return
      case 'stop':
        worker?.stop(action.reason)
        return
      case 'fail':
        worker?.fail(action.reason, action.message)
        return
      case 'forget':
        if (worker) void forget(worker)
    }
  }

  const forget = async (worker: ReplicaWorker) => {
    const { replica } = worker.assignment
    leaving.add(replica)
    try {
      await worker.forget()
      workers.delete(replica)
      await replicaDeps.logs.prune(new Set(workers.keys()))
    } catch (error) {
      log.error('replica_not_forgotten', { replica, problem: errorText(error) })
    } finally {
      leaving.delete(replica)
      deps.changed()
    }
  }

  const orphanRun = ({ runId, replica, process }: FoundRun) => ({
    id: runId,
    logPath: replicaDeps.logs.pathOf(replica),
    process,
  })

  const endOrphan = async (orphan: FoundRun) => {
    log.warn('orphan_ended', { replica: orphan.replica })
    await stopEngine(replicaDeps, orphanRun(orphan), KILL, { signal: detached.signal, onStuck: () => {} })
  }

  /** An engine of ours that no record tells of: kept when control wants it, else ended. */
  const settleOrphan = async (orphan: FoundRun, assignments: readonly Assignment[]) => {
    const { replica } = orphan
    const assignment = assignments.find((one) => one.replica === replica && one.desired === 'run')
    if (!assignment || !orphan.process || workers.has(replica)) return endOrphan(orphan)
    log.warn('orphan_adopted', { replica })
    const nowMs = clock.now()
    const run = { ...orphanRun(orphan), startedAtMs: nowMs }
    const record = { assignment, phase: 'starting' as const, sinceMs: nowMs, restarts: 0, restartedAtMs: [] }
    await make({ ...record, adapters: [], run }).adopt()
  }

  return {
    async adopt() {
      const found = await replicaDeps.spawner.find(replicaDeps.agentId)
      for (const record of await replicaDeps.disk.records()) make(record)
      const recorded = new Map([...workers.values()].map((worker) => [worker.runId(), worker]))
      const unknown = found.filter((run) => !recorded.has(run.runId))
      // What is left of an earlier start of a replica that has since been started again must go before it is looked at.
      await Promise.all(unknown.filter((run) => workers.has(run.replica)).map(endOrphan))
      orphans = unknown.filter((run) => !workers.has(run.replica))
      await Promise.all(
        [...workers.values()].map((worker) =>
          worker.adopt(found.find((run) => run.runId === worker.runId())?.process),
        ),
      )
    },

    async want(assignments) {
      const found = orphans
      orphans = []
      for (const orphan of found) await settleOrphan(orphan, assignments)
      desired = assignments
      for (const assignment of assignments) workers.get(assignment.replica)?.update(assignment)
      changed()
    },

    statuses: (node) => [...workers.values()].map((worker) => worker.status(node)),
    occupancy: () => [...workers.values()].flatMap((worker) => worker.occupancy() ?? []),

    serving(replica) {
      const worker = workers.get(replica)
      return worker && SERVING.has(worker.local().phase) ? worker.assignment : undefined
    },

    async stopAll() {
      closed = true
      wakeTimer?.cancel()
      await Promise.all(
        [...workers.values()].map(async (worker) => {
          worker.stop('agent_stopped')
          await worker.settled()
          await worker.forget()
        }),
      )
      workers.clear()
    },

    async detach() {
      closed = true
      detached.abort()
      wakeTimer?.cancel()
      await Promise.all([...workers.values()].map((worker) => worker.detach()))
    },
  }
}
