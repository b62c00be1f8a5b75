import { z } from 'zod'
import { byId, define, empty, listOf } from './define-operation.ts'
import { KeyCreate, KeyObject, Version, WhoAmI } from './objects.ts'

/** Keys, and who asks. */
export const accessOperations = {
  listKeys: define({
    id: 'listKeys',
    tag: 'keys',
    method: 'GET',
    path: '/keys',
    permission: 'keys:read',
    summary: 'All keys, without secrets',
    result: listOf(KeyObject),
  }),
  createKey: define({
    id: 'createKey',
    tag: 'keys',
    method: 'POST',
    path: '/keys',
    permission: 'keys:write',
    summary: 'A new key; the secret is shown once',
    body: KeyCreate,
    result: KeyObject.extend({ secret: z.string() }),
    status: 201,
  }),
  revokeKey: define({
    id: 'revokeKey',
    tag: 'keys',
    method: 'DELETE',
    path: '/keys/{id}',
    permission: 'keys:write',
    summary: 'Revoke a key',
    params: byId,
    result: empty,
    errors: ['not_found', 'conflict'],
  }),
  whoAmI: define({
    id: 'whoAmI',
    tag: 'access',
    method: 'GET',
    path: '/whoami',
    permission: 'self:read',
    summary: 'Who the credential belongs to',
    result: WhoAmI,
  }),
  version: define({
    id: 'version',
    tag: 'access',
    method: 'GET',
    path: '/version',
    permission: 'self:read',
    summary: 'Version of the server',
    result: Version,
  }),
} as const
