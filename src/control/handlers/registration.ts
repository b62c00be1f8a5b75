import type { z } from 'zod'
import type { Registration } from '../../api/objects.ts'
import { YardError } from '../../base/errors.ts'
import { parseKey, verifySecret } from '../../base/key-format.ts'
import type { JoinToken } from '../../domain/access.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { agentCredential, keyPepper } from '../machine-credentials.ts'
import { newKey } from '../new-key.ts'
import { tables } from '../records.ts'
import type { Transaction } from '../transaction.ts'
import { placementsOn } from '../views.ts'
import { canJoin } from './join-tokens.ts'
import { machineKeysOf } from './machine-keys.ts'

type Asked = z.infer<typeof Registration>

const NO_HASH = '0'.repeat(64)
const TOKEN_SEEN_WITHIN_MS = 1_000
/** Most replicas that a change of agent can end in one transaction; each takes two of its ops. */
const MOST_INHERITED = 40
/**
 * Keys of former registrations that a gateway's name keeps. Nothing tells a gateway that lost its directory from a
 * second one of the same name (two on one host), whose view must not end with the first one's key.
 */
const GATEWAY_KEYS_KEPT = 7

/** A machine joins: its token is checked and used up by the very transaction that makes its node and key. */
export function registrationHandler(context: ControlContext): Pick<Handlers, 'register'> {
  const { committer, cache, pepper } = context
  return {
    async register({ body }) {
      const scope = body.role === 'agent' ? 'node' : 'gateway'
      await tokenSeen(context, body.joinToken)
      const { key, text } = newKey(context, {
        name: `${body.role} ${body.name}`,
        scopes: [scope],
        subject: body.name,
      })
      await committer.commit('api', (transaction) => {
        useToken(context, transaction, body)
        if (body.role === 'agent') joinNode(context, transaction, body)
        else joinGateway(transaction, body)
        const kept = body.role === 'agent' ? 0 : GATEWAY_KEYS_KEPT
        const former = machineKeysOf(cache, scope, body.name)
        for (const id of former.slice(kept)) transaction.delete(tables.keys, id)
        transaction.put(tables.keys, key.id, key)
      })
      return {
        name: body.name,
        key: text,
        ...(body.role === 'agent' ? { agentCredential: agentCredential(pepper, body.name) } : {}),
      }
    },
  }
}

/** A token may have been made at another server a moment ago. Junk is refused at once. */
async function tokenSeen({ cache }: ControlContext, joinToken: string): Promise<void> {
  const parsed = parseKey(joinToken)
  if (parsed?.prefix !== 'yj') throw tokenNotGood()
  await cache.waitUntil(() => cache.get(tables.joinTokens, parsed.id) !== undefined, TOKEN_SEEN_WITHIN_MS)
}

function useToken(
  { cache, clock, pepper }: ControlContext,
  transaction: Transaction,
  { joinToken, role }: Asked,
): void {
  const parsed = parseKey(joinToken)
  if (parsed?.prefix !== 'yj') throw tokenNotGood()
  const token: JoinToken | undefined = cache.get(tables.joinTokens, parsed.id)?.value
  const matches = verifySecret(keyPepper(pepper), parsed.secret, token?.hash ?? NO_HASH)
  if (token === undefined || !matches || token.role !== role || !canJoin(token, clock.now())) {
    throw tokenNotGood()
  }
  if (token.usesLeft > 1) {
    transaction.put(tables.joinTokens, token.id, { ...token, usesLeft: token.usesLeft - 1 })
  } else transaction.delete(tables.joinTokens, token.id)
}

function joinNode({ cache, clock }: ControlContext, transaction: Transaction, asked: Asked): void {
  const { name, labels, agentId } = asked
  if (agentId === undefined || asked.agentUrl === undefined) {
    const field = agentId === undefined ? 'agentId' : 'agentUrl'
    throw new YardError('invalid_request', `${field}: an agent must send it`, {
      details: { problems: [{ field, message: 'an agent must send it' }] },
    })
  }
  const agentUrl = checkAgentUrl(asked.agentUrl)
  const before = transaction.get(tables.nodes, name)
  if (before !== undefined && before.agentId !== agentId) {
    if (transaction.get(tables.nodeLeases, name) !== undefined) throw nameInUse(name)
    // Nobody knows whether the former agent still runs them: they are never started anew under their names.
    const inherited = placementsOn(cache, name)
    if (inherited.length > MOST_INHERITED) throw tooManyInherited(name, inherited.length)
    for (const { name: replica } of inherited) endInherited(transaction, replica, clock.now())
    transaction.delete(tables.nodeStatus, name)
  }
  transaction.put(tables.nodes, name, {
    name,
    labels,
    cordoned: before?.cordoned ?? false,
    agentUrl,
    agentId,
    registeredAtMs: clock.now(),
  })
  const again = before === undefined ? 'joined' : before.agentId === agentId ? 'rejoined' : 'agent_replaced'
  const message = { joined: 'joined', rejoined: 'registered again', agent_replaced: 'has a new agent' }[again]
  transaction.event({ type: 'normal', object: { kind: 'node', name }, reason: again, message })
}

function joinGateway(transaction: Transaction, { name }: Asked): void {
  transaction.event({
    type: 'normal',
    object: { kind: 'gateway', name },
    reason: 'joined',
    message: 'joined',
  })
}

function endInherited(transaction: Transaction, name: string, nowMs: number): void {
  const replica = transaction.get(tables.replicas, name)
  if (replica?.intent === 'run') {
    const ended = { ...replica, intent: 'stop', reason: 'agent_replaced', stopAtMs: nowMs } as const
    transaction.put(tables.replicas, name, ended)
  }
  transaction.delete(tables.replicaStatus, name)
}

/** The URL of an agent: http or https, a host, and nothing that could send our credential elsewhere. */
export function checkAgentUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain = url?.pathname === '/' && url.search === '' && url.hash === '' && url.username === ''
  if (url && plain && url.password === '' && (url.protocol === 'http:' || url.protocol === 'https:')) {
    return url.origin
  }
  throw new YardError('invalid_request', 'agentUrl: not a URL such as http://10.0.0.7:7702', {
    details: { problems: [{ field: 'agentUrl', message: 'not a URL such as http://10.0.0.7:7702' }] },
  })
}

function tokenNotGood(): YardError {
  return new YardError('unauthenticated', 'this join token is not valid here', {
    reason: 'join_token',
    hint: 'it may be used up, expired or for another role; make another with yard node join-token',
  })
}

function nameInUse(name: string): YardError {
  return new YardError('conflict', `another agent reports as node "${name}"`, {
    reason: 'node_name_in_use',
    hint: 'give this one another --name, or stop the other and wait until its lease has ended',
  })
}

function tooManyInherited(name: string, count: number): YardError {
  return new YardError('conflict', `node "${name}" has ${count} replicas of its former agent`, {
    reason: 'node_in_use',
    hint: `yard node remove ${name}, then join again`,
  })
}
