import type { Footprint } from '../domain/footprint.ts'

export type Estimate =
  | { readonly kind: 'footprint'; readonly footprint: Footprint }
  /** It can't be known; `message` says what to state by hand. */
  | { readonly kind: 'unknown'; readonly reason: 'facts_missing' | 'not_stated'; readonly message: string }
