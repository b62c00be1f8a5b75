import { errorText, YardError } from '../../base/errors.ts'
import { within } from '../../base/within.ts'
import type { Node } from '../../domain/node.ts'
import type { ControlContext } from '../context.ts'
import { agentCredential } from '../machine-credentials.ts'

const ANSWER_WITHIN_MS = 10_000

/**
 * The lines of a replica's engine, from its node's agent as they come. The caller leaving aborts the agent's side.
 * Faults: `unreachable` when the agent does not answer or refuses us, `not_found` when it knows no such logs.
 */
export async function readReplicaLogs(
  { agentFetch, clock, pepper, log }: Pick<ControlContext, 'agentFetch' | 'clock' | 'pepper' | 'log'>,
  node: Node,
  replica: string,
  query: Readonly<Record<string, string | number>>,
  signal: AbortSignal,
): Promise<Response> {
  const url = new URL(`${node.agentUrl}/replicas/${encodeURIComponent(replica)}/logs`)
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
  const leaving = new AbortController()
  const leave = () => leaving.abort()
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  const request = new Request(url, {
    headers: { authorization: `Bearer ${agentCredential(pepper, node.name)}` },
    // An agent has no reason to send us elsewhere with its credential.
    redirect: 'error',
    signal: leaving.signal,
  })
  const answer = agentFetch(node.agentUrl)(request)
  const response = await within(clock, ANSWER_WITHIN_MS, answer, 'the agent did not answer').catch(
    (error: unknown) => {
      leave()
      log.warn('agent_unreachable', { node: node.name, error: causeText(error) })
      throw new YardError('unreachable', `the agent of node ${node.name} does not answer`, {
        hint: `check that it runs and that this server reaches ${node.agentUrl}`,
      })
    },
  )
  if (response.ok) {
    return new Response(response.body, {
      headers: { 'content-type': 'text/plain; charset=utf-8', 'x-accel-buffering': 'no' },
    })
  }
  leave()
  if (response.status === 404) {
    throw new YardError('not_found', `node ${node.name} has no logs of "${replica}"`, { reason: 'no_logs' })
  }
  log.warn('agent_refused', { node: node.name, status: response.status })
  throw new YardError('unreachable', `the agent of node ${node.name} answered ${response.status}`, {
    reason: 'agent_refused',
    hint: 'its log says why; registering it anew gives it fresh credentials',
  })
}

/** `fetch` says only that it failed; why is in the cause. */
function causeText(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  return cause === undefined ? errorText(error) : `${errorText(error)}: ${errorText(cause)}`
}
