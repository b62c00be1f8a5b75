import { PERMISSIONS, type Permission, type Principal, type Scope } from '../domain/access.ts'

export type { Permission } from '../domain/access.ts'

export interface AccessDecision {
  readonly allowed: boolean
  /** For people: what allowed it, or what is missing. */
  readonly because: string
}

/** What machines and clients do, not people who manage. */
const NOT_MANAGEMENT: readonly Permission[] = ['node:self', 'gateway:view', 'inference:use']

/** All that each scope grants; what is not here is denied. */
const GRANTS: Readonly<Record<Scope, readonly Permission[]>> = {
  manage: PERMISSIONS.filter((permission) => !NOT_MANAGEMENT.includes(permission)),
  read: PERMISSIONS.filter((permission) => permission.endsWith(':read')),
  inference: ['inference:use'],
  node: ['node:self'],
  gateway: ['gateway:view'],
}

/**
 * Whether `principal` may do `permission`, on `resource` where the permission is about one: the model's public name
 * for `inference:use`, the node's name for `node:self`. Denied unless a scope grants it.
 */
export function authorize(principal: Principal, permission: Permission, resource?: string): AccessDecision {
  const scope = principal.scopes.find((one) => Object.hasOwn(GRANTS, one) && GRANTS[one].includes(permission))
  if (scope === undefined) {
    const has = principal.scopes.length > 0 ? principal.scopes.join(', ') : 'none'
    return denied(`no scope of ${principal.name} grants ${permission}; it has ${has}`)
  }
  if (permission === 'inference:use' && principal.models !== undefined) {
    if (resource === undefined || !principal.models.includes(resource)) {
      return denied(`${principal.name} may not call ${resource ?? 'every model'}, only those its key names`)
    }
  }
  if (permission === 'node:self' && (resource === undefined || resource !== principal.subject)) {
    return denied(
      `${principal.name} speaks for ${principal.subject ?? 'no node'}, not for ${resource ?? 'any node'}`,
    )
  }
  return { allowed: true, because: `scope ${scope} grants ${permission}` }
}

function denied(because: string): AccessDecision {
  return { allowed: false, because }
}
