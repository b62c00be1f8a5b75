import { blockHash, hashSeed } from './block-hash.ts'
import type { BlockPool } from './block-pool.ts'
import type { FinishReason, SimFinished, SimRequest } from './sim-request.ts'

/** A request inside the core: its tokens, the blocks it holds, and when things happened to it. */
export interface Sequence {
  readonly request: SimRequest
  readonly promptLength: number
  /** Prompt, then output. */
  readonly tokens: number[]
  readonly seed: number
  /** Hashes of the full blocks of `tokens`, as far as known. */
  readonly hashes: number[]
  /** Blocks held, first to last. */
  blocks: number[]
  /** Tokens whose KV is in `blocks`. */
  computed: number
  /** Tokens whose KV was computed before the last preemption. */
  computedBefore: number
  /** Blocks whose content was offered to the prefix cache. */
  named: number
  state: 'waiting' | 'running' | 'ended'
  waitsForAdapter: boolean
  cachedTokens: number
  preemptions: number
  readonly arrivedAtMs: number
  admittedAtMs: number | undefined
  firstTokenAtMs: number | undefined
}

export function newSequence(request: SimRequest, model: string, nowMs: number): Sequence {
  const tokens = Array.from(request.promptTokens)
  return {
    request,
    promptLength: tokens.length,
    tokens,
    seed: hashSeed(model, request.adapter ?? '', request.cacheSalt ?? ''),
    hashes: [],
    blocks: [],
    computed: 0,
    computedBefore: 0,
    named: 0,
    state: 'waiting',
    waitsForAdapter: false,
    cachedTokens: 0,
    preemptions: 0,
    arrivedAtMs: nowMs,
    admittedAtMs: undefined,
    firstTokenAtMs: undefined,
  }
}

/**
 * The cached blocks this sequence can start from: contiguous from its first token, and always leaving at least
 * one token to compute, since something must produce the next one.
 */
export function findPrefix(sequence: Sequence, pool: BlockPool, blockSize: number): number[] {
  const found: number[] = []
  const most = Math.floor((sequence.tokens.length - 1) / blockSize)
  for (let index = 0; index < most; index++) {
    const block = pool.find(hashOf(sequence, index, blockSize))
    if (block === undefined) break
    found.push(block)
  }
  return found
}

/** Offers every block that is full and computed to the prefix cache. */
export function nameFullBlocks(sequence: Sequence, pool: BlockPool, blockSize: number): void {
  while ((sequence.named + 1) * blockSize <= sequence.computed) {
    const block = sequence.blocks[sequence.named]
    if (block === undefined) return
    pool.name(block, hashOf(sequence, sequence.named, blockSize))
    sequence.named++
  }
}

export function finishedEvent(sequence: Sequence, reason: FinishReason, atMs: number): SimFinished {
  return {
    kind: 'finished',
    id: sequence.request.id,
    reason,
    promptTokens: sequence.promptLength,
    outputTokens: sequence.tokens.length - sequence.promptLength,
    cachedTokens: sequence.cachedTokens,
    preemptions: sequence.preemptions,
    arrivedAtMs: sequence.arrivedAtMs,
    admittedAtMs: sequence.admittedAtMs,
    firstTokenAtMs: sequence.firstTokenAtMs,
    finishedAtMs: atMs,
  }
}

function hashOf(sequence: Sequence, block: number, blockSize: number): number {
  const { hashes, tokens, seed } = sequence
  for (let index = hashes.length; index <= block; index++) {
    const parent = index === 0 ? seed : (hashes[index - 1] ?? seed)
    hashes.push(blockHash(parent, tokens, index * blockSize, (index + 1) * blockSize))
  }
  return hashes[block] ?? seed
}
