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
  /** It has been looked at with each change up to this revision. */
  readonly checked: number
}

/** Least time to catch up with a caller that knows more than we. */
const CATCH_UP_MS = 2_000
/** A document that nobody has asked for as long as this is no longer followed. */
const FORGET_AFTER_MS = 120_000

/**
 * Answers a long poll with a document derived from the mirror, and a revision at which it had this form. Each server
 * saw a form first at a revision of its own, so a caller may bring one that it got elsewhere: it waits when the
 * document is known not to have changed from there to now; else it is answered at once. (When it were answered for
 * the other number alone, a caller that is sent from one server to the next would ask both without a pause.)
 */
export class PolledView<Document> {
  readonly #deps: { readonly cache: ClusterCache; readonly store: Store; readonly clock: Clock }
  readonly #make: (subject: string) => Document
  readonly #seen = new Map<string, Seen<Document>>()
  /** When each was last asked for. */
  readonly #askedMs = new Map<string, number>()

  /** `make` derives the document of a subject from the mirror alone, without waiting. */
  constructor(
    deps: { readonly cache: ClusterCache; readonly store: Store; readonly clock: Clock },
    make: (subject: string) => Document,
  ) {
    this.#deps = deps
    this.#make = make
    deps.cache.onChange(() => this.#follow())
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
    let seen = this.#now(subject)
    const isNews = () => {
      seen = this.#now(subject)
      this.#askedMs.set(subject, clock.monotonicMs())
      return !this.#isUnchangedSince(seen, after)
    }
    await cache.waitUntil(isNews, Math.max(0, deadlineMs - clock.monotonicMs()), signal)
    const { document, revision } = seen
    return { document, revision: this.#isUnchangedSince(seen, after) ? after : revision }
  }

  /** A form that came and went between two listings of the store went unseen. */
  #isUnchangedSince({ revision, checked }: Seen<Document>, after: number): boolean {
    if (after === revision) return true
    return after >= Math.max(revision, this.#deps.cache.listedRevision) && after <= checked
  }

  /** So that a form that comes and goes between two polls is not missed. */
  #follow(): void {
    const oldestMs = this.#deps.clock.monotonicMs() - FORGET_AFTER_MS
    for (const [subject, askedMs] of [...this.#askedMs]) {
      try {
        if (askedMs >= oldestMs) {
          this.#now(subject)
          continue
        }
      } catch {
        // A record that can't be read is told to whoever asks.
      }
      this.#askedMs.delete(subject)
      this.#seen.delete(subject)
    }
  }

  #now(subject: string): Seen<Document> {
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
