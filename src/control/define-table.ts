import type { z } from 'zod'
import { YardError } from '../base/errors.ts'

/** One kind of record in the Store: where it is kept and how it is written. */
export interface Table<Row> {
  readonly kind: string
  /** Every key of this kind begins with it. */
  readonly prefix: string
  key(name: string): string
  encode(row: Row): string
  /** Throws `data_dir_newer` for a record of a later version and `internal` for one that is none. */
  decode(text: string): Row
}

export const ROOT = '/yard/v1/'

export function defineTable<Row>(definition: {
  kind: string
  schema: z.ZodType<Row>
  version: number
}): Table<Row> {
  const { kind, schema, version } = definition
  const prefix = `${ROOT}${kind}/`
  return {
    kind,
    prefix,
    key: (name) => prefix + name,
    encode: (row) => JSON.stringify({ v: version, ...row }),
    decode: (text) => {
      const { v, ...row } = JSON.parse(text) as { v: number }
      if (v > version) throw new YardError('data_dir_newer', `a record of ${kind} has version ${v}`)
      return schema.parse(row)
    },
  }
}
