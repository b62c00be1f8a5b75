import type { ReplicaStatus } from '../domain/replica.ts'
import type { EventText } from './transaction.ts'

/** What there is to tell when a replica's status changes from one to the other; undefined when it is no news. */
export function replicaEvent(before: ReplicaStatus | undefined, after: ReplicaStatus): EventText | undefined {
  const { replica: name, node, phase, failure, restarts } = after
  const object = { kind: 'replica', name } as const
  const restarted = restarts > (before?.restarts ?? 0)
  if (before?.phase === phase && !restarted) return undefined
  const why = failure === undefined ? '' : `: ${failure.message}`
  switch (phase) {
    case 'pulling':
      return { type: 'normal', object, reason: 'pulling', message: `fetches its model on ${node}` }
    case 'starting':
      return restarted
        ? {
            type: 'warning',
            object,
            reason: 'restarted',
            message: `restarts on ${node} for the ${ordinal(restarts)} time${why}`,
          }
        : { type: 'normal', object, reason: 'starting', message: `starts on ${node}` }
    case 'ready':
      return { type: 'normal', object, reason: 'ready', message: `serves on ${node}` }
    case 'unhealthy':
      return {
        type: 'warning',
        object,
        reason: 'unhealthy',
        message: `does not answer its health check${why}`,
      }
    case 'draining':
      return { type: 'normal', object, reason: 'draining', message: 'finishes its requests' }
    case 'stopped':
      return { type: 'normal', object, reason: 'stopped', message: `stopped on ${node}` }
    case 'failed':
      return {
        type: 'warning',
        object,
        reason: failure?.reason ?? 'failed',
        message: `failed on ${node}${why === '' ? ': its agent gave no reason' : why}`,
      }
    case 'pending':
      return restarted
        ? {
            type: 'warning',
            object,
            reason: 'restarted',
            message: `waits for its next start on ${node}${why}`,
          }
        : undefined
  }
}

function ordinal(count: number): string {
  const last = count % 10
  const teen = count % 100 >= 11 && count % 100 <= 13
  return `${count}${teen ? 'th' : last === 1 ? 'st' : last === 2 ? 'nd' : last === 3 ? 'rd' : 'th'}`
}
