import type { Operation } from '../../api/operation.ts'
import type { Operations } from '../../api/operations.ts'
import type { Principal } from '../../domain/access.ts'

/** A request after authentication, authorization and parsing. */
export interface Call<Params, Query, Body> {
  readonly params: Params
  readonly query: Query
  readonly body: Body
  /** For operations whose credential is a join token: nobody, with no scopes. */
  readonly principal: Principal
  readonly requestId: string
  /** Aborts when the caller leaves. */
  readonly signal: AbortSignal
}

/** Answers with the operation's result, or with a Response where the operation has no schema for one. */
export type HandlerOf<Op> =
  Op extends Operation<infer Params, infer Query, infer Body, infer Result>
    ? (call: Call<Params, Query, Body>) => Promise<unknown extends Result ? Response : Result>
    : never

/** One handler for each operation: a missing one does not compile. */
export type Handlers = { readonly [Id in keyof Operations]: HandlerOf<Operations[Id]> }

/** A handler as the dispatcher calls it, once its input has been parsed by its own schemas. */
export type AnyHandler = (call: Call<unknown, unknown, unknown>) => Promise<unknown>
