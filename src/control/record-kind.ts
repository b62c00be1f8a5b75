import type { Entry, Op } from '../store/store.ts'
import type { RecordName, Table } from '../store/tables.ts'

/** A table whose records go by one flat name, as people and other records call them. */
export interface RecordKind<Value> {
  readonly kind: string
  readonly prefix: string
  /** Throws `invalid_request` for what can't be a name. */
  key(name: string): string
  /** Undefined for a key of another kind. */
  nameOf(key: string): string | undefined
  put(name: string, value: Value, options?: { leaseId?: string }): Op
  /** Throws `record_unreadable`. */
  read(entry: Pick<Entry, 'key' | 'value' | 'createRevision' | 'modRevision'>): Value
}

/** How a flat name stands in a key. */
interface Spelling {
  parts(name: string): RecordName
  name(parts: readonly string[]): string
}

/** Names that stand in keys as they are. */
export function plain<Value>(table: Table<Value>): RecordKind<Value> {
  return spelled(table, { parts: (name) => name, name: (parts) => parts.join('/') })
}

/** Names made of a model's, a dash and a tail without one: the model is a part of the key, which has room for each. */
export function ofModel<Value>(table: Table<Value>): RecordKind<Value> {
  return spelled(table, {
    parts: (name) => {
      const dash = name.lastIndexOf('-')
      return dash < 0 ? [name] : [name.slice(0, dash), name.slice(dash + 1)]
    },
    name: (parts) => parts.join('-'),
  })
}

/** Names whose case matters, which keys do not allow: their bytes in hex. */
export function inHex<Value>(table: Table<Value>): RecordKind<Value> {
  return spelled(table, {
    parts: (name) => Buffer.from(name).toString('hex'),
    name: (parts) => Buffer.from(parts.join(''), 'hex').toString(),
  })
}

function spelled<Value>(table: Table<Value>, spelling: Spelling): RecordKind<Value> {
  return {
    kind: table.kind,
    prefix: table.prefix,
    key: (name) => table.key(spelling.parts(name)),
    nameOf: (key) => {
      const parts = table.nameOf(key)
      return parts && spelling.name(parts)
    },
    put: (name, value, options) => table.put(spelling.parts(name), value, options),
    read: (entry) => table.decode(entry).value,
  }
}
