/**
 * The KV cache of one engine: a fixed number of blocks, each free or held by one or more sequences. A free
 * block keeps its content and hash until it is handed out again, least recently used first, so a later
 * sequence with the same prefix finds it. Same discipline as vLLM's BlockPool (v1/core/block_pool.py).
 */
export interface BlockPool {
  readonly numBlocks: number
  /** Blocks that nobody holds, cached ones among them. */
  freeCount(): number
  /** Takes `count` blocks, evicting cached content from the least recently used. Needs `count <= freeCount()`. */
  take(count: number): number[]
  /** The block that holds this prefix, if any. Does not hold it. */
  find(hash: number): number | undefined
  /** Holds a found block once more. */
  hold(block: number): void
  isFree(block: number): boolean
  /** Lets go of a sequence's blocks, given first to last. */
  release(blocks: readonly number[]): void
  /** Names a full, computed block. The first block with a hash keeps it; a duplicate stays unnamed. */
  name(block: number, hash: number): void
}

export function createBlockPool(numBlocks: number): BlockPool {
  const holders = new Int32Array(numBlocks)
  const hashes = new Float64Array(numBlocks).fill(UNNAMED)
  const byHash = new Map<number, number>()
  const free = createFreeList(numBlocks)

  const evict = (block: number) => {
    const hash = hashes[block] ?? UNNAMED
    if (hash === UNNAMED) return
    byHash.delete(hash)
    hashes[block] = UNNAMED
  }

  return {
    numBlocks,
    freeCount: () => free.size(),
    take(count) {
      const taken: number[] = []
      for (let index = 0; index < count; index++) {
        const block = free.shift()
        if (block === undefined) throw new RangeError(`block pool: asked for ${count} blocks, had ${index}`)
        evict(block)
        holders[block] = 1
        taken.push(block)
      }
      return taken
    },
    find: (hash) => byHash.get(hash),
    hold(block) {
      if (holders[block] === 0) free.remove(block)
      holders[block] = (holders[block] ?? 0) + 1
    },
    isFree: (block) => holders[block] === 0,
    release(blocks) {
      // Last block first: of one sequence the tail is evicted before the head, which others may share.
      for (let index = blocks.length - 1; index >= 0; index--) {
        const block = blocks[index] ?? 0
        const left = (holders[block] ?? 0) - 1
        if (left < 0) throw new RangeError(`block pool: block ${block} released twice`)
        holders[block] = left
        if (left > 0) continue
        // A block without content worth keeping is handed out before any cached one.
        if (hashes[block] === UNNAMED) free.unshift(block)
        else free.push(block)
      }
    },
    name(block, hash) {
      if (hashes[block] !== UNNAMED || byHash.has(hash)) return
      hashes[block] = hash
      byHash.set(hash, block)
    },
  }
}

const UNNAMED = -1

/** Doubly linked list over block numbers, so that a cache hit leaves the middle in constant time. */
function createFreeList(numBlocks: number) {
  const end = numBlocks
  const next = new Int32Array(numBlocks + 1)
  const previous = new Int32Array(numBlocks + 1)
  let size = 0
  next[end] = end
  previous[end] = end

  const insert = (block: number, before: number, after: number) => {
    next[before] = block
    previous[block] = before
    next[block] = after
    previous[after] = block
    size++
  }
  const remove = (block: number) => {
    const before = previous[block] ?? end
    const after = next[block] ?? end
    next[before] = after
    previous[after] = before
    size--
  }
  for (let block = 0; block < numBlocks; block++) insert(block, previous[end] ?? end, end)

  return {
    size: () => size,
    push: (block: number) => insert(block, previous[end] ?? end, end),
    unshift: (block: number) => insert(block, end, next[end] ?? end),
    remove,
    shift(): number | undefined {
      const first = next[end] ?? end
      if (first === end) return undefined
      remove(first)
      return first
    },
  }
}
