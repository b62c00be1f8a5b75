import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Operation } from '../../api/operation.ts'
import { API_PREFIX } from '../../api/operation.ts'
import { type Operations, operations } from '../../api/operations.ts'
import { openControlWorld } from '../world.testing.ts'

const ids = Object.keys(operations) as (keyof Operations)[]
const names = fc.constantFrom(
  'm',
  'n1',
  'constructor',
  '__proto__',
  '..',
  '%2e%2e',
  'a'.repeat(300),
  '\u0000',
  'é',
)
const words = fc.constantFrom(
  'spec',
  'source',
  'engine',
  'replicas',
  'labels',
  'joinToken',
  'role',
  'name',
  'agentId',
  'agentUrl',
  'status',
  'scopes',
  'sim',
  'sim:a',
  'builtin:tiny',
  'agent',
  'm',
  '__proto__',
  'constructor',
  'uses',
  'report',
  'kind',
)
const scalar = fc.oneof(words, fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null))
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(words, tie('value'), { maxKeys: 6 }),
  ),
}))

it('answers whatever is sent with a fault of the sender or success, never with one of its own', async () => {
  await using world = await openControlWorld()
  const n1 = await world.agent('n1')
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ids), names, value, fc.string(), async (id, name, body, query) => {
      const operation: Operation = operations[id]
      const path = operation.path.replace(/\{\w+\}/, encodeURIComponent(name))
      const key = operation.permission === 'node:self' ? n1.key : world.adminKey
      const request = new Request(`http://control.test${API_PREFIX}${path}?${encodeURI(query)}`, {
        method: operation.method,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        ...(operation.method === 'GET' ? {} : { body: JSON.stringify(body) ?? 'undefined' }),
      })
      const answer = await world.sendRequest(request)
      expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(500)
    }),
    { numRuns: 1_500 },
  )
  expect(world.logs.filter((line) => line.includes('request_broken'))).toEqual([])
}, 60_000)
