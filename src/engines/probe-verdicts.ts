import type { HttpResult, ProbeVerdict } from './engine.ts'

/**
 * Before an engine was ready: a refused, broken or slow connection is loading, since most engines listen only once
 * loaded, and so is 503. Any other answer is not one of a healthy engine.
 */
export function whileLoading(result: HttpResult): ProbeVerdict {
  if (result.kind !== 'answer' || result.status === 503) return 'loading'
  return isSuccess(result.status) ? 'ready' : 'unhealthy'
}

/** Once an engine was ready: only success is health. */
export function onceReady(result: HttpResult): ProbeVerdict {
  return result.kind === 'answer' && isSuccess(result.status) ? 'ready' : 'unhealthy'
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}
