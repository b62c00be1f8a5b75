import { createHmac } from 'node:crypto'

/** What control presents to a node's agent. Derived, so that nothing secret of it is in the Store. */
export function agentCredential(pepper: string, node: string): string {
  return derived(pepper, `agent:${node}`)
}

/** What a replica's engine, or the agent's proxy before it, asks of whoever calls it. */
export function replicaCredential(pepper: string, replica: string): string {
  return derived(pepper, `replica:${replica}`)
}

/**
 * What hashes of keys are made with. Gateways are given it: they check keys by themselves, and must not be able to
 * make the credentials above.
 */
export function keyPepper(pepper: string): string {
  return derived(pepper, 'keys')
}

function derived(pepper: string, subject: string): string {
  return createHmac('sha256', Buffer.from(pepper, 'hex')).update(subject).digest('hex')
}
