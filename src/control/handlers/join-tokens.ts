import { hashSecret, makeKey } from '../../base/key-format.ts'
import type { JoinToken } from '../../domain/access.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { keyPepper } from '../machine-credentials.ts'
import { tables } from '../records.ts'
import { joinTokenObject, notFound } from '../views.ts'

type JoinTokenHandlers = Pick<Handlers, 'listJoinTokens' | 'createJoinToken' | 'deleteJoinToken'>

/** Tokens with which machines may register. */
export function joinTokenHandlers(context: ControlContext): JoinTokenHandlers {
  const { cache, committer, clock, pepper, randomBytes } = context
  return {
    async listJoinTokens() {
      const items = cache
        .all(tables.joinTokens)
        .map((row) => row.value)
        .filter((token) => canJoin(token, clock.now()))
        .map(joinTokenObject)
      return { resourceVersion: String(cache.revision), items }
    },

    async createJoinToken({ body }) {
      const { id, secret, text } = makeKey('yj', randomBytes)
      const nowMs = clock.now()
      const token: JoinToken = {
        id,
        hash: hashSecret(keyPepper(pepper), secret),
        role: body.role,
        usesLeft: body.uses,
        createdAtMs: nowMs,
        expiresAtMs: nowMs + body.ttlMs,
      }
      await committer.commit('api', (transaction) => transaction.put(tables.joinTokens, id, token))
      return { ...joinTokenObject(token), token: text }
    },

    async deleteJoinToken({ params: { id } }) {
      await committer.commit('api', (transaction) => {
        if (transaction.get(tables.joinTokens, id) === undefined) throw notFound('join token', id)
        transaction.delete(tables.joinTokens, id)
      })
      return {}
    },
  }
}

/** True while a token still lets a machine in. */
export function canJoin({ usesLeft, expiresAtMs }: JoinToken, nowMs: number): boolean {
  return usesLeft > 0 && expiresAtMs > nowMs
}
