import { z } from 'zod'
import type { ErrorCode } from '../base/errors.ts'
import { Name } from '../domain/names.ts'
import { ResourceVersion } from './objects.ts'
import type { Operation } from './operation.ts'

/** A path that names one object. */
export const named = z.object({ name: Name })
export const byId = z.object({ id: z.string().regex(/^[A-Za-z0-9]{1,64}$/) })
export const empty = z.object({})
const COMMON: readonly ErrorCode[] = [
  'unauthenticated',
  'forbidden',
  'invalid_request',
  'store_unavailable',
  'unavailable',
  'internal',
]

/** A list and the revision that it is of. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({ resourceVersion: ResourceVersion, items: z.array(item) })
}

/** An operation, with the faults that each may have beside its own. */
export function define<Params, Query, Body, Result>(
  operation: Omit<Operation<Params, Query, Body, Result>, 'errors' | 'status'> & {
    errors?: readonly ErrorCode[]
    status?: 200 | 201 | 202
  },
): Operation<Params, Query, Body, Result> {
  return { status: 200, ...operation, errors: [...COMMON, ...(operation.errors ?? [])] }
}
