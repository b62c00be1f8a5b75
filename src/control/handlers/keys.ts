import { YardError } from '../../base/errors.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { mayManage } from '../may-manage.ts'
import { newKey } from '../new-key.ts'
import { tables } from '../records.ts'
import { keyObject, notFound } from '../views.ts'

type KeyHandlers = Pick<Handlers, 'listKeys' | 'createKey' | 'revokeKey' | 'whoAmI' | 'version'>

/** Credentials of people, programs and machines. */
export function keyHandlers(context: ControlContext): KeyHandlers {
  const { cache, committer, clock } = context
  return {
    async listKeys() {
      const items = cache.all(tables.keys).map((row) => keyObject(row.value))
      return { resourceVersion: String(cache.revision), items }
    },

    async createKey({ body }) {
      const { name, scopes, models, expiresAtMs } = body
      if (expiresAtMs !== undefined && expiresAtMs <= clock.now()) {
        throw new YardError('invalid_request', 'expiresAtMs: this time has passed')
      }
      const { key, text } = newKey(context, {
        name,
        scopes: [...new Set(scopes)],
        ...(models === undefined ? {} : { models }),
        ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
      })
      await committer.commit('api', (transaction) => transaction.put(tables.keys, key.id, key))
      return { ...keyObject(key), secret: text }
    },

    async revokeKey({ params: { id } }) {
      await committer.commit('api', (transaction) => {
        const key = transaction.get(tables.keys, id)
        if (key === undefined) throw notFound('key', id)
        // Reading the others through the transaction makes two revocations at once conflict.
        const others = cache
          .all(tables.keys)
          .filter((row) => row.name !== id && mayManage(row.value, clock.now()))
        if (mayManage(key, clock.now()) && others.length === 0) throw lastManager()
        const [another] = others
        if (mayManage(key, clock.now()) && another) transaction.get(tables.keys, another.name)
        transaction.delete(tables.keys, id)
      })
      return {}
    },

    async whoAmI({ principal }) {
      const { keyId, name, scopes, models } = principal
      const expiresAtMs = cache.get(tables.keys, keyId)?.value.expiresAtMs
      return {
        keyId,
        name,
        scopes: [...scopes],
        ...(models === undefined ? {} : { models: [...models] }),
        ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
      }
    },

    async version() {
      const { version, gatewayUrl } = context
      return { version, api: 'v1', ...(gatewayUrl === undefined ? {} : { gateway: gatewayUrl }) }
    },
  }
}

function lastManager(): YardError {
  return new YardError(
    'conflict',
    'this is the last key that may manage; without it nobody could make another',
    {
      reason: 'last_manage_key',
      hint: 'make another first: yard key create --scope manage',
    },
  )
}
