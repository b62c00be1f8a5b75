import type { Pass } from '../../base/keyed-queue.ts'
import type { RowChange } from '../cluster-cache.ts'
import type { ControlContext } from '../context.ts'
import type { Term } from '../leader.ts'

/** What every loop works with: the control plane, and the term that fences its writes. */
export interface LoopContext extends ControlContext {
  readonly term: Term
}

/**
 * One concern of the cluster, worked key by key. `pass` reads what is now, decides, and commits; it is told only the
 * key, never what changed.
 */
export interface Loop {
  readonly name: string
  /** All keys there are, for the start of a term. */
  keys(): readonly string[]
  /** The keys whose pass may decide otherwise after this change. */
  keysOf(change: RowChange): readonly string[]
  pass(key: string): Promise<Pass | undefined>
}
