import { lostSinceMs, suspectsSelf, writeCondition } from '../cluster-state.ts'
import { NODE_BEAT_MS, NODE_LEASE_TTL_MS } from '../node-lease.ts'
import { tables } from '../records.ts'
import type { Loop, LoopContext } from './loop.ts'

/**
 * Notes for each node that its lease ended or is back. A lease that ends is noted one beat later, so that nodes which
 * vanish together are seen together; and never earlier than a lease's time after the leader began, because it was
 * perhaps the leader that stood still.
 */
export function nodeLoop(context: LoopContext): Loop {
  const { cache, committer, clock, term } = context
  const missingSinceMs = new Map<string, number>()
  const graceEndsMs = term.startedAtMs + NODE_LEASE_TTL_MS

  return {
    name: 'node',

    keys: () => cache.all(tables.nodes).map((row) => row.name),

    keysOf: ({ kind, name }) => (kind === tables.nodes.kind || kind === tables.nodeLeases.kind ? [name] : []),

    async pass(name) {
      const nowMs = clock.now()
      const reports = cache.get(tables.nodeLeases, name) !== undefined
      const state = cache.get(tables.nodeConditions, name)?.value.state
      if (reports) missingSinceMs.delete(name)
      if (cache.get(tables.nodes, name) === undefined || (reports ? 'ready' : 'lost') === state)
        return undefined
      // It has registered and not yet begun to report.
      if (!reports && state === undefined) return undefined
      if (!reports) {
        const sinceMs = missingSinceMs.get(name) ?? nowMs
        missingSinceMs.set(name, sinceMs)
        const dueMs = Math.max(sinceMs + NODE_BEAT_MS, graceEndsMs)
        if (nowMs < dueMs) return { wakeAtMs: dueMs }
      }
      await committer.commit(
        'node_loop',
        (transaction) => {
          const back = transaction.get(tables.nodeLeases, name) !== undefined
          const before = transaction.get(tables.nodeConditions, name)?.state
          if (transaction.get(tables.nodes, name) === undefined || back !== reports || before !== state)
            return
          const sinceMs = back ? nowMs : (missingSinceMs.get(name) ?? nowMs)
          writeCondition(
            cache,
            transaction,
            name,
            {
              node: name,
              state: back ? 'ready' : 'lost',
              sinceMs,
            },
            nowMs,
          )
          const object = { kind: 'node', name } as const
          if (!back) {
            const message = `its agent has not reported for ${Math.round((nowMs - sinceMs + NODE_LEASE_TTL_MS) / 1000)} s`
            transaction.event({ type: 'warning', object, reason: 'lost', message })
          } else if (before === 'lost') {
            transaction.event({ type: 'normal', object, reason: 'back', message: 'its agent reports again' })
          }
        },
        term,
      )
      if (lostSinceMs(cache, name) !== undefined && suspectsSelf(cache)) {
        context.log.warn('suspect_self', { node: name })
      }
      return undefined
    },
  }
}
