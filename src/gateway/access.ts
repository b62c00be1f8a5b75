import { authorize } from '../decide/authorize.ts'
import type { Principal } from '../domain/access.ts'

/** Whether the principal may call a model by this public name. Who may manage may call every model too. */
export function mayUse(principal: Principal, model: string): boolean {
  return principal.scopes.includes('manage') || authorize(principal, 'inference:use', model).allowed
}

/** Whether the principal may call any model at all. */
export function mayInfer(principal: Principal): boolean {
  return principal.scopes.includes('manage') || principal.scopes.includes('inference')
}

/** Whether the principal may read what the gateway measures. */
export function mayReadMetrics(principal: Principal): boolean {
  return authorize(principal, 'logs:read').allowed
}
