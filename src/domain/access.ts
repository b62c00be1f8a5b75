import { z } from 'zod'

/** What a key may be used for. `node` and `gateway` are given to machines at join and to nothing else. */
export const Scope = z.enum(['inference', 'read', 'manage', 'node', 'gateway'])
export type Scope = z.infer<typeof Scope>

/** A credential. Only a keyed hash of the secret is kept. */
export const Key = z.object({
  id: z.string(),
  name: z.string(),
  /** Hex of HMAC-SHA-256(k, secret); `k` is derived from the pepper, which lives outside the Store. */
  hash: z.string(),
  scopes: z.array(Scope),
  /** Models it may call; absent means all. */
  models: z.array(z.string()).optional(),
  createdAtMs: z.number(),
  expiresAtMs: z.number().optional(),
  /** The machine it belongs to, for scopes `node` and `gateway`. */
  subject: z.string().optional(),
})
export type Key = Readonly<z.infer<typeof Key>>

/** Lets one machine register. Only the hash of its secret is kept; it goes with its last use. */
export const JoinToken = z.object({
  id: z.string(),
  hash: z.string(),
  role: z.enum(['agent', 'gateway']),
  usesLeft: z.number().int().nonnegative(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
})
export type JoinToken = Readonly<z.infer<typeof JoinToken>>

/** Who asks, after authentication. */
export interface Principal {
  readonly keyId: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly models?: readonly string[]
  readonly subject?: string
}

/** What may be done, as `<noun>:<verb>`. Every operation of the API names one. */
export const PERMISSIONS = [
  'models:read',
  'models:write',
  'replicas:read',
  'replicas:write',
  'nodes:read',
  'nodes:write',
  'join_tokens:write',
  'keys:read',
  'keys:write',
  'endpoints:read',
  'plan:read',
  'events:read',
  'logs:read',
  'self:read',
  'node:self',
  'gateway:view',
  'inference:use',
] as const
export type Permission = (typeof PERMISSIONS)[number]
