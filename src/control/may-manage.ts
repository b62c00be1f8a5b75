import type { Key } from '../domain/access.ts'

/** True for a key with which a person can still make others. */
export function mayManage({ scopes, expiresAtMs }: Key, nowMs: number): boolean {
  return scopes.includes('manage') && (expiresAtMs === undefined || expiresAtMs > nowMs)
}
