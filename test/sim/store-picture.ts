import { tables } from '../../src/control/records.ts'
import type { ChangeSet } from '../../src/store/store.ts'

type Tables = typeof tables
export type Kind = keyof Tables
type ValueOf<K extends Kind> = ReturnType<Tables[K]['read']>

const KIND_OF = new Map(Object.entries(tables).map(([name, table]) => [table.kind, name as Kind]))

/** One record that a revision changed. */
export interface Seen {
  readonly kind: Kind
  readonly name: string
  readonly before: unknown
  readonly after: unknown
  readonly modRevision: number
}

/** What the store holds at one revision, read without any part of control but the names of its records. */
export class StorePicture {
  readonly #rows = new Map<Kind, Map<string, unknown>>()
  readonly #modRevisions = new Map<string, number>()
  revision = 0

  get<K extends Kind>(kind: K, name: string): ValueOf<K> | undefined {
    return this.#rows.get(kind)?.get(name) as ValueOf<K> | undefined
  }

  all<K extends Kind>(kind: K): ValueOf<K>[] {
    return [...(this.#rows.get(kind)?.values() ?? [])] as ValueOf<K>[]
  }

  names(kind: Kind): string[] {
    return [...(this.#rows.get(kind)?.keys() ?? [])]
  }

  modRevision(key: string): number {
    return this.#modRevisions.get(key) ?? 0
  }

  take(set: ChangeSet): Seen[] {
    this.revision = set.revision
    return set.changes.flatMap((change) => {
      const kind = KIND_OF.get(change.key.split('/')[3] ?? '')
      const name = kind && tables[kind].nameOf(change.key)
      if (kind === undefined || name === undefined) return []
      const rows = this.#rows.get(kind) ?? new Map<string, unknown>()
      this.#rows.set(kind, rows)
      const before = rows.get(name)
      const after = change.kind === 'put' ? (JSON.parse(change.value) as { value: unknown }).value : undefined
      if (after === undefined) rows.delete(name)
      else rows.set(name, after)
      if (change.kind === 'put') this.#modRevisions.set(change.key, change.modRevision)
      else this.#modRevisions.delete(change.key)
      return [{ kind, name, before, after, modRevision: change.modRevision }]
    })
  }
}
