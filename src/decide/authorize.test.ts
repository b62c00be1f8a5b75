import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PERMISSIONS, type Principal, Scope } from '../domain/access.ts'
import { authorize } from './authorize.ts'
import { frozen } from './decide.testing.ts'

function who(over: Partial<Principal> = {}): Principal {
  return frozen({ keyId: 'k1', name: 'ci', scopes: [], ...over })
}

function allowedWith(principal: Principal, resource?: string) {
  return PERMISSIONS.filter((permission) => authorize(principal, permission, resource).allowed)
}

describe('a key', () => {
  test('without scopes may do nothing, and is told so', () => {
    expect(allowedWith(who(), 'x')).toEqual([])
    expect(authorize(who(), 'models:read').because).toBe('no scope of ci grants models:read; it has none')
  })

  test('to manage may do all that the control plane offers, and nothing that machines and clients do', () => {
    const allowed = allowedWith(who({ scopes: ['manage'], subject: 'a' }), 'a')
    expect(PERMISSIONS.filter((permission) => !allowed.includes(permission))).toEqual([
      'node:self',
      'gateway:view',
      'inference:use',
    ])
  })

  test('to read may read everything and write nothing', () => {
    expect(allowedWith(who({ scopes: ['read'] }))).toEqual([
      'models:read',
      'replicas:read',
      'nodes:read',
      'keys:read',
      'endpoints:read',
      'plan:read',
      'events:read',
      'logs:read',
      'self:read',
    ])
  })

  test('for inference may call models only', () => {
    expect(allowedWith(who({ scopes: ['inference'] }), 'chat')).toEqual(['inference:use'])
  })

  test('for some models may call only those', () => {
    const key = who({ scopes: ['inference'], models: ['chat'] })
    expect(authorize(key, 'inference:use', 'chat').allowed).toBe(true)
    expect(authorize(key, 'inference:use', 'other')).toEqual({
      allowed: false,
      because: 'ci may not call other, only those its key names',
    })
    expect(authorize(key, 'inference:use').allowed).toBe(false)
    expect(authorize(who({ scopes: ['inference'], models: [] }), 'inference:use', 'chat').allowed).toBe(false)
  })

  test('of a node speaks for that node only', () => {
    const node = who({ scopes: ['node'], subject: 'a' })
    expect(allowedWith(node, 'a')).toEqual(['node:self'])
    expect(allowedWith(node, 'b')).toEqual([])
    expect(allowedWith(node)).toEqual([])
    expect(allowedWith(who({ scopes: ['node'] }))).toEqual([])
  })

  test('of a gateway sees what gateways see', () => {
    expect(allowedWith(who({ scopes: ['gateway'], subject: 'g' }))).toEqual(['gateway:view'])
  })

  test('says which scope allowed it', () => {
    expect(authorize(who({ scopes: ['read', 'manage'] }), 'models:write')).toEqual({
      allowed: true,
      because: 'scope manage grants models:write',
    })
  })

  test('with a scope that does not exist may do nothing', () => {
    const scopes = ['toString', '__proto__'] as unknown as Principal['scopes']
    expect(allowedWith(who({ scopes }), 'x')).toEqual([])
  })
})

test('more scopes never allow less, and a permission that does not exist is denied to all', () => {
  const scopes = fc.subarray([...Scope.options])
  fc.assert(
    fc.property(scopes, scopes, fc.constantFrom(...PERMISSIONS), (some, more, permission) => {
      const principal = (list: readonly Scope[]) => who({ scopes: list, subject: 'a' })
      if (authorize(principal(some), permission, 'a').allowed) {
        expect(authorize(principal([...more, ...some]), permission, 'a').allowed).toBe(true)
      }
      expect(authorize(principal([...Scope.options]), 'audit:write' as typeof permission, 'a').allowed).toBe(
        false,
      )
    }),
  )
})
