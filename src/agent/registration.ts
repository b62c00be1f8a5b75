import type { Client } from '../api/client.ts'
import { operations } from '../api/operations.ts'
import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { within } from '../base/within.ts'
import type { Labels } from '../domain/names.ts'
import type { AgentDisk, Identity } from './disk/agent-disk.ts'
import { untilAborted } from './until-aborted.ts'

export type Registered = NonNullable<Identity['registered']>

export interface RegistrationDeps {
  readonly client: Client
  readonly disk: AgentDisk
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly name: string
  readonly labels: Labels
  readonly agentUrl: () => string
  /** Read only when it is needed and kept nowhere. */
  readonly joinToken: () => Promise<string | undefined>
}

/**
 * Who this machine is to control: as it was remembered, else by registering with a join token. Waits for a server that
 * can't be reached. Faults: `unauthenticated` without a token or with a wrong one, `conflict` when another agent has
 * this name.
 */
export async function ensureRegistered(
  deps: RegistrationDeps,
  identity: Identity,
  signal: AbortSignal,
): Promise<Registered> {
  if (identity.registered?.name === deps.name) return identity.registered
  if (identity.registered) {
    deps.log.warn('node_renamed', { from: identity.registered.name, to: deps.name })
  }
  return register(deps, identity, signal)
}

const ANSWER_MS = 30_000

/** Registers, also when this machine had been before: control may have forgotten it. */
export async function register(
  deps: RegistrationDeps,
  { agentId }: Identity,
  signal: AbortSignal,
): Promise<Registered> {
  const joinToken = (await deps.joinToken())?.trim()
  if (!joinToken) {
    throw new YardError(
      'unauthenticated',
      `this machine has not joined as node "${deps.name}" and has no join token`,
      {
        reason: 'no_join_token',
        hint: 'make one with `yard node join-token` and give it with --join-token-file',
      },
    )
  }
  for (let attempt = 1; ; attempt++) {
    try {
      const call = deps.client.call(
        operations.register,
        {
          body: {
            joinToken,
            role: 'agent',
            name: deps.name,
            labels: { ...deps.labels },
            agentUrl: deps.agentUrl(),
            agentId,
          },
        },
        { signal },
      )
      const answer = await within(
        deps.clock,
        ANSWER_MS,
        untilAborted(signal, call),
        'the server did not answer',
      )
      const { name, key, agentCredential } = answer
      const registered = { name, key, ...(agentCredential === undefined ? {} : { agentCredential }) }
      await deps.disk.saveIdentity({ agentId, registered })
      deps.log.info('node_registered', { node: name })
      return registered
    } catch (error) {
      signal.throwIfAborted()
      if (!isYardError(error) || !error.retryable) throw registrationFault(error, deps.name)
      const delayMs = backoffMs(attempt, { baseMs: 1_000, capMs: 30_000 }, deps.random)
      deps.log.warn('registration_delayed', { problem: errorText(error), retryInMs: Math.round(delayMs) })
      await deps.clock.sleep(delayMs, signal)
    }
  }
}

function registrationFault(error: unknown, name: string): unknown {
  if (isYardError(error, 'conflict') || isYardError(error, 'already_exists')) {
    return new YardError('conflict', `a node named "${name}" is already registered by another agent`, {
      hint: `give this machine another --name; or, when it takes that one's place, remove the old node first with \`yard node remove ${name}\``,
      cause: error,
    })
  }
  if (isYardError(error, 'unauthenticated') || isYardError(error, 'forbidden')) {
    return new YardError('unauthenticated', `the server does not accept the join token: ${error.message}`, {
      hint: 'it may have been used or have expired; make a new one with `yard node join-token`',
      cause: error,
    })
  }
  return error
}
