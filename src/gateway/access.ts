import { authorize } from '../decide/authorize.ts'
import type { Principal } from '../domain/access.ts'

/** Whether the principal may call a model by this public name. */
export function mayUse(principal: Principal, model: string): boolean {
  return authorize(principal, 'inference:use', model).allowed
}

/** Whether the principal may call any model at all. */
export function mayInfer({ scopes }: Principal): boolean {
  return authorize({ keyId: '', name: '', scopes }, 'inference:use').allowed
}

/** Whether the principal may read what the gateway measures. */
export function mayReadMetrics(principal: Principal): boolean {
  return authorize(principal, 'logs:read').allowed
}
