import { type Exchange, sendError } from './exchange.ts'
import { isApiError, type JsonFields, readFields } from './json-fields.ts'

/** Answers one call. */
export type Serve = (exchange: Exchange) => void

/** One row of the routing table. */
export type Route = readonly [method: 'GET' | 'POST' | 'DELETE', path: string, serve: Serve]

/** Reads the body's fields first; a body that is no object is answered with 400. */
export function withFields(serve: (fields: JsonFields, exchange: Exchange) => void): Serve {
  return (exchange) => {
    const fields = readFields(exchange.body)
    if (isApiError(fields)) sendError(exchange.reply, fields)
    else serve(fields, exchange)
  }
}
