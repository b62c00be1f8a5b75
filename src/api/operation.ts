import type { z } from 'zod'
import type { ErrorCode } from '../base/errors.ts'
import type { Permission } from '../domain/access.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

/**
 * One operation of the control API, defined once: handlers, the typed client and the OpenAPI document come from
 * it. `permission` is asked of every caller before anything else is looked at; `join` means that the body's join
 * token is the credential.
 */
export interface Operation<Params = unknown, Query = unknown, Body = unknown, Result = unknown> {
  /** Unique, camelCase; OpenAPI's operationId. */
  readonly id: string
  readonly method: Method
  /** Below `/api/v1`, with `{param}` parts. */
  readonly path: string
  readonly permission: Permission | 'join'
  readonly summary: string
  readonly tag: string
  readonly params?: z.ZodType<Params>
  readonly query?: z.ZodType<Query>
  readonly body?: z.ZodType<Body>
  /** Schema of the JSON answer; absent when the answer is a text stream. */
  readonly result?: z.ZodType<Result>
  /** Status of success. */
  readonly status: 200 | 201 | 202
  readonly errors: readonly ErrorCode[]
}

export const API_PREFIX = '/api/v1'

/** Fills `{param}` parts; each value is percent-encoded, so a value can't add a path segment. */
export function pathOf(operation: Pick<Operation, 'path'>, params: Readonly<Record<string, string>>): string {
  return (
    API_PREFIX +
    operation.path.replace(/\{(\w+)\}/g, (_, key: string) => {
      const value = params[key]
      if (value === undefined) throw new TypeError(`path parameter ${key} is missing`)
      return encodeURIComponent(value)
    })
  )
}
