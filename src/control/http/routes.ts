import type { Method, Operation } from '../../api/operation.ts'
import { API_PREFIX } from '../../api/operation.ts'
import type { Operations } from '../../api/operations.ts'

/** What a path and a method lead to. */
export type Match =
  | {
      readonly kind: 'found'
      readonly id: keyof Operations
      readonly params: Readonly<Record<string, string>>
    }
  | { readonly kind: 'method'; readonly allow: readonly Method[] }
  | { readonly kind: 'none' }

/** Matches paths of the API against its operations. */
export function createRoutes(
  all: Readonly<Record<keyof Operations, Pick<Operation, 'method' | 'path'>>>,
): (method: string, path: string) => Match {
  const routes = (Object.keys(all) as (keyof Operations)[]).map((id) => ({
    id,
    method: all[id].method,
    steps: (API_PREFIX + all[id].path).split('/'),
  }))
  return (method, path) => {
    const parts = path.split('/')
    const allow = new Set<Method>()
    for (const route of routes) {
      const params = paramsOf(route.steps, parts)
      if (params === undefined) continue
      if (route.method === method) return { kind: 'found', id: route.id, params }
      allow.add(route.method)
    }
    return allow.size === 0 ? { kind: 'none' } : { kind: 'method', allow: [...allow].sort() }
  }
}

function paramsOf(steps: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (steps.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [at, step] of steps.entries()) {
    const part = parts[at] ?? ''
    if (!step.startsWith('{')) {
      if (step !== part) return undefined
      continue
    }
    const value = decoded(part)
    if (value === undefined || value === '') return undefined
    params[step.slice(1, -1)] = value
  }
  return params
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
