import { canonicalJson } from '../base/canonical-json.ts'
import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Store } from '../store/store.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { ROOT } from './records.ts'

export interface Poll {
  /** The revision of what the caller has; 0 when it has nothing. */
  readonly after: number
  readonly waitMs: number
}

interface Seen<Document> {
  readonly document: Document
  readonly text: string
  /** When it took this form, as far as this server saw. */
  readonly revision: number
  /** The last revision at which it was looked at. */
  readonly checked: number
}

/** Least time to catch up with a caller that knows more than we. */
const CATCH_UP_MS = 2_000

/**
 * Answers a long poll with a document derived from the mirror, and the revision at which this server first saw it in
 * this form. A caller waits only while it has exactly that revision: another one, even a later one that it got from
 * another server, may stand for another document.
 */
export class PolledView<Document> {
  readonly #deps: { readonly cache: ClusterCache; readonly store: Store; readonly clock: Clock }
  readonly #make: (subject: string) => Document
  readonly #seen = new Map<string, Seen<Document>>()

  /** `make` derives the document of a subject from the mirror alone, without waiting. */
  constructor(
    deps: { readonly cache: ClusterCache; readonly store: Store; readonly clock: Clock },
    make: (subject: string) => Document,
  ) {
    this.#deps = deps
    this.#make = make
  }

  /** Throws `unavailable` when the caller has seen later revisions than this server, also after a while. */
  async poll(
    subject: string,
    { after, waitMs }: Poll,
    signal: AbortSignal,
  ): Promise<{ readonly revision: number; readonly document: Document }> {
    const { cache, clock } = this.#deps
    const deadlineMs = clock.monotonicMs() + waitMs
    if (after > cache.revision) await this.#catchUp(after, waitMs, signal)
    let answer = this.#now(subject)
    const isNews = () => {
      answer = this.#now(subject)
      return answer.revision !== after
    }
    await cache.waitUntil(isNews, Math.max(0, deadlineMs - clock.monotonicMs()), signal)
    return answer
  }

  #now(subject: string): { revision: number; document: Document } {
    const { revision: now } = this.#deps.cache
    const before = this.#seen.get(subject)
    // Many may wait for the same document; it is made once for each revision.
    if (before?.checked === now) return before
    const document = this.#make(subject)
    const text = canonicalJson(document)
    const revision = before?.text === text ? before.revision : now
    const seen = { document, text, revision, checked: now }
    this.#seen.set(subject, seen)
    return seen
  }

  /** What we would answer now is older than what the caller has, unless the store itself went back. */
  async #catchUp(after: number, waitMs: number, signal: AbortSignal): Promise<void> {
    const { cache, store } = this.#deps
    const reached = () => cache.revision >= after
    if (await cache.waitUntil(reached, Math.max(waitMs, CATCH_UP_MS), signal)) return
    const { revision } = await store.list(ROOT, { limit: 1 })
    if (revision >= after) {
      throw new YardError('unavailable', 'this server has not seen yet what the caller has', {
        reason: 'behind',
        hint: 'ask again, or ask another server',
      })
    }
  }
}
