import type { ChangeSet } from './store.ts'

/** The latest change sets, one for each revision without gaps; the oldest are forgotten by count and by size. */
export class ChangeHistory {
  readonly #maxRevisions: number
  readonly #maxBytes: number
  #sets: ChangeSet[] = []
  #forgotten = 0
  #bytes = 0

  constructor(bounds: { maxRevisions: number; maxBytes: number }) {
    this.#maxRevisions = bounds.maxRevisions
    this.#maxBytes = bounds.maxBytes
  }

  /** Adds the next revision. Answers the newest revision that had to be forgotten for it, if any. */
  push(set: ChangeSet): number | undefined {
    this.#sets.push(set)
    this.#bytes += sizeOf(set)
    let forgotten: number | undefined
    while (this.#length > this.#maxRevisions || (this.#bytes > this.#maxBytes && this.#length > 1)) {
      forgotten = this.#shift()
    }
    return forgotten
  }

  at(revision: number): ChangeSet | undefined {
    const first = this.#sets[this.#forgotten]
    return first === undefined || revision < first.revision
      ? undefined
      : this.#sets[this.#forgotten + revision - first.revision]
  }

  forgetThrough(revision: number): void {
    while (this.#length > 0 && (this.#sets[this.#forgotten]?.revision ?? 0) <= revision) this.#shift()
  }

  toArray(): ChangeSet[] {
    return this.#sets.slice(this.#forgotten)
  }

  get #length(): number {
    return this.#sets.length - this.#forgotten
  }

  #shift(): number | undefined {
    const set = this.#sets[this.#forgotten]
    if (set === undefined) return undefined
    this.#bytes -= sizeOf(set)
    this.#forgotten++
    // Cutting the array seldom makes forgetting one revision cost O(1) on average.
    if (this.#forgotten >= 64 && this.#forgotten * 2 >= this.#sets.length) {
      this.#sets = this.#sets.slice(this.#forgotten)
      this.#forgotten = 0
    }
    return set.revision
  }
}

function sizeOf(set: ChangeSet): number {
  let bytes = 64
  for (const change of set.changes) {
    bytes += 64 + 2 * (change.key.length + (change.kind === 'put' ? change.value.length : 0))
  }
  return bytes
}
