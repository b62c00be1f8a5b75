import type { z } from 'zod'
import { YardError } from '../base/errors.ts'
import type { Compare, Entry, Op, Store } from './store.ts'

/** A name, or the parts of one: `['chat', 'r1']` is the replica `r1` of `chat`. */
export type RecordName = string | readonly string[]

/** A record, and the revision to compare with before changing it. */
export interface Row<T> {
  readonly name: readonly string[]
  readonly value: T
  readonly createRevision: number
  readonly modRevision: number
  readonly leaseId?: string
}

/**
 * The records of one kind: the only place where keys and values are made and read. A record is stored under
 * `/yard/v1/<kind>/<name>`, in parts where the name has parts, as `{"schema": <version>, "value": …}`.
 *
 * What cannot be read back is a fault, `record_unreadable`, that names the record (reason `corrupt`, or `newer`
 * for one of a later version): skipping it would plan as if it did not exist. A name that is not allowed is
 * `invalid_request`; a value that does not fit its own schema is `internal`.
 */
export interface Table<T> {
  readonly kind: string
  /** What all keys of this kind begin with. */
  readonly prefix: string
  key(name: RecordName): string
  get(store: Store, name: RecordName): Promise<Row<T> | undefined>
  /** All records, or those whose name begins with the parts in `under`; in key order, of one revision. */
  list(
    store: Store,
    under?: readonly string[],
  ): Promise<{ readonly revision: number; readonly rows: readonly Row<T>[] }>
  put(name: RecordName, value: T, options?: { leaseId?: string }): Op
  delete(name: RecordName): Op
  /** Holds while the record is as it was read. */
  compareOf(row: Pick<Row<T>, 'name' | 'modRevision'>): Compare
  /** Holds while there is no such record. */
  compareAbsent(name: RecordName): Compare
  /** The name in a key of this kind; undefined for any other key. */
  nameOf(key: string): readonly string[] | undefined
  /** Reads an entry, or a `put` of a watch. */
  decode(entry: Pick<Entry, 'key' | 'value' | 'createRevision' | 'modRevision' | 'leaseId'>): Row<T>
}

/**
 * `version` grows with each change of the schema that old readers would misread. `upgrades[n]` makes a value of
 * version n into one of version n + 1; a version without one needs none.
 */
export function defineTable<S extends z.ZodType>(definition: {
  readonly kind: string
  readonly schema: S
  readonly version: number
  readonly upgrades?: Readonly<Record<number, (value: unknown) => unknown>>
}): Table<z.infer<S>> {
  const { kind, schema, version, upgrades = {} } = definition
  if (!NAME.test(kind)) throw new YardError('internal', `${kind} is not a kind of record.`)
  const prefix = `${ROOT}/${kind}/`
  const keyOf = (name: RecordName) => prefix + partsOf(kind, name).join('/')

  const nameOf = (key: string) => {
    if (!key.startsWith(prefix)) return undefined
    const parts = key.slice(prefix.length).split('/')
    return parts.every((part) => isRecordNamePart(part)) ? parts : undefined
  }

  const decode: Table<z.infer<S>>['decode'] = ({ key, value, ...rest }) => {
    const name = nameOf(key)
    if (name === undefined) throw corrupt(key, 'its key is not one of this kind')
    return { name, value: decodeValue(key, value), ...rest }
  }

  const decodeValue = (key: string, text: string): z.infer<S> => {
    const record = parseRecord(key, text)
    if (record.schema > version) throw newer(key, record.schema, version)
    let value = record.value
    for (let from = record.schema; from < version; from++) value = upgrades[from]?.(value) ?? value
    const parsed = schema.safeParse(value)
    if (!parsed.success) throw corrupt(key, issueText(parsed.error))
    return parsed.data
  }

  return {
    kind,
    prefix,
    key: keyOf,
    nameOf,
    decode,
    async get(store, name) {
      const entry = await store.get(keyOf(name))
      return entry === undefined ? undefined : decode(entry)
    },
    async list(store, under = []) {
      const { revision, entries } = await store.list(under.length === 0 ? prefix : `${keyOf(under)}/`)
      return { revision, rows: entries.map((entry) => decode(entry)) }
    },
    put(name, value, options = {}) {
      const parsed = schema.safeParse(value)
      const key = keyOf(name)
      if (!parsed.success)
        throw new YardError('internal', `${key} cannot be stored: ${issueText(parsed.error)}.`)
      const text = JSON.stringify({ schema: version, value: parsed.data })
      return { kind: 'put', key, value: text, ...options }
    },
    delete: (name) => ({ kind: 'delete', key: keyOf(name) }),
    compareOf: ({ name, modRevision }) => ({ key: keyOf(name), modRevision }),
    compareAbsent: (name) => ({ key: keyOf(name), modRevision: 0 }),
  }
}

/** True for a lower-case name of letters, digits, `.`, `_`, `-`, at most 63, a letter or digit at both ends. */
export function isRecordNamePart(text: string): boolean {
  return text.length <= 63 && NAME.test(text)
}

const ROOT = '/yard/v1'
const NAME = /^[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?$/

function partsOf(kind: string, name: RecordName): readonly string[] {
  const parts = typeof name === 'string' ? [name] : name
  const bad = parts.find((part) => !isRecordNamePart(part))
  if (bad === undefined && parts.length > 0) return parts
  throw new YardError('invalid_request', `${JSON.stringify(bad ?? '')} is not a name in ${kind}.`, {
    reason: 'bad_name',
    hint: 'Use lower-case letters, digits, ".", "_" and "-", at most 63, with a letter or digit at both ends.',
  })
}

function parseRecord(key: string, text: string): { schema: number; value: unknown } {
  let record: unknown
  try {
    record = JSON.parse(text)
  } catch {
    // Not the parser's words: they quote the text, which may be a secret.
    throw corrupt(key, 'it is not JSON')
  }
  if (typeof record !== 'object' || record === null || !('schema' in record) || !('value' in record)) {
    throw corrupt(key, 'it has no schema number or no value')
  }
  const { schema, value } = record
  if (typeof schema !== 'number' || !Number.isInteger(schema) || schema < 1) {
    throw corrupt(key, 'its schema number is not one')
  }
  return { schema, value }
}

/** Where the value is wrong and how, without the value: it may be a secret. */
function issueText(error: z.ZodError): string {
  return error.issues.map((issue) => `${issue.path.join('.') || 'value'}: ${issue.message}`).join('; ')
}

function corrupt(key: string, why: string): YardError {
  return new YardError('record_unreadable', `The record ${key} cannot be read: ${why}.`, {
    reason: 'corrupt',
    hint: 'Something other than yard has changed it. Delete it or restore it from a backup.',
    details: { key },
  })
}

function newer(key: string, found: number, known: number): YardError {
  return new YardError(
    'record_unreadable',
    `The record ${key} was written by a newer version of yard: its schema is ${found}, this version knows ${known}.`,
    {
      reason: 'newer',
      hint: 'Run the same version on every server, or restore the backup made before the upgrade.',
      details: { key, found, known },
    },
  )
}
