import type { BlockPool } from './block-pool.ts'
import type { SimCoreOptions } from './core-options.ts'
import { findPrefix, type Sequence } from './sequence.ts'
import type { SimEvent } from './sim-request.ts'

/** What one step computes: some tokens of each sequence. */
export interface PlannedStep {
  readonly work: { readonly sequence: Sequence; readonly tokens: number }[]
  prefillTokens: number
  recomputedTokens: number
  decodeSequences: number
}

interface Planning {
  readonly options: SimCoreOptions
  readonly pool: BlockPool
  readonly waiting: Sequence[]
  readonly running: Sequence[]
  readonly atMs: number
  readonly events: SimEvent[]
}

/**
 * vLLM's scheduler (v1/core/sched/scheduler.py), first come first served:
 * 1. Every running sequence gets its next tokens (one when decoding, a chunk of prompt otherwise) while the
 *    token budget lasts. When no block is free for it, the youngest running sequence is preempted: it loses
 *    its blocks, goes to the head of the queue and computes everything again.
 * 2. Unless something was preempted, waiting sequences join while there is budget, a place in the batch and
 *    room for their whole prompt. One that only lacks a place for its adapter is passed over.
 * Moves sequences between the queues and reports admissions and preemptions to `events`.
 */
export function planStep(planning: Planning): PlannedStep {
  const plan: PlannedStep = { work: [], prefillTokens: 0, recomputedTokens: 0, decodeSequences: 0 }
  const { left, preempted } = continueRunning(planning, plan)
  if (!preempted) admitWaiting(planning, plan, left)
  return plan
}

function continueRunning(planning: Planning, plan: PlannedStep): { left: number; preempted: boolean } {
  const { running, options } = planning
  let left = options.maxNumBatchedTokens
  let preempted = false
  for (let index = 0; index < running.length && left > 0; index++) {
    const sequence = running[index]
    if (sequence === undefined) break
    const tokens = Math.min(sequence.tokens.length - sequence.computed, left)
    while (sequence.state === 'running' && !reserve(planning, sequence, sequence.computed + tokens)) {
      preempted = true
      preemptYoungest(planning)
    }
    if (sequence.state !== 'running') break
    schedule(plan, sequence, tokens)
    left -= tokens
  }
  return { left, preempted }
}

function admitWaiting(planning: Planning, plan: PlannedStep, budget: number): void {
  const { waiting, running, options, pool, atMs, events } = planning
  if (waiting.length === 0) return
  const adapters = new Set(running.flatMap(({ request }) => request.adapter ?? []))
  let left = budget
  let index = 0
  while (left > 0 && running.length < options.maxNumSeqs) {
    const sequence = waiting[index]
    if (sequence === undefined || sequence.arrivedAtMs > atMs) break
    const { adapter } = sequence.request
    sequence.waitsForAdapter =
      adapter !== undefined && !adapters.has(adapter) && adapters.size >= options.maxAdapters
    if (sequence.waitsForAdapter) {
      index++
      continue
    }
    const prefix = options.prefixCaching ? findPrefix(sequence, pool, options.blockSize) : []
    // A found block that nobody holds leaves the free list too, so it counts as needed.
    const held = prefix.filter((block) => !pool.isFree(block)).length
    if (blocksFor(sequence.tokens.length, options) - held > pool.freeCount()) break

    waiting.splice(index, 1)
    running.push(sequence)
    sequence.state = 'running'
    for (const block of prefix) pool.hold(block)
    sequence.blocks = prefix
    sequence.named = prefix.length
    sequence.computed = prefix.length * options.blockSize
    const resumed = sequence.admittedAtMs !== undefined
    if (!resumed) sequence.cachedTokens = sequence.computed
    sequence.admittedAtMs ??= atMs
    if (adapter !== undefined) adapters.add(adapter)
    events.push({
      kind: 'admitted',
      id: sequence.request.id,
      atMs,
      arrivedAtMs: sequence.arrivedAtMs,
      promptTokens: sequence.promptLength,
      cachedTokens: sequence.computed,
      resumed,
    })

    const tokens = Math.min(sequence.tokens.length - sequence.computed, left)
    if (!reserve(planning, sequence, sequence.computed + tokens))
      throw new Error(`sim core: ${sequence.request.id} was admitted without room for its prompt`)
    schedule(plan, sequence, tokens)
    left -= tokens
  }
}

function schedule(plan: PlannedStep, sequence: Sequence, tokens: number): void {
  plan.work.push({ sequence, tokens })
  const decodes = sequence.tokens.length > sequence.promptLength && tokens === 1
  if (decodes) {
    plan.decodeSequences++
    return
  }
  plan.prefillTokens += tokens
  plan.recomputedTokens += Math.max(0, Math.min(tokens, sequence.computedBefore - sequence.computed))
}

/** Makes the sequence hold the blocks for its first `tokens` tokens. False, changing nothing, if it cannot. */
function reserve({ pool, options }: Planning, sequence: Sequence, tokens: number): boolean {
  const missing = blocksFor(tokens, options) - sequence.blocks.length
  if (missing > pool.freeCount()) return false
  if (missing > 0) sequence.blocks.push(...pool.take(missing))
  return true
}

function preemptYoungest({ pool, running, waiting, atMs, events }: Planning): void {
  const youngest = running.pop()
  if (youngest === undefined) return
  pool.release(youngest.blocks)
  youngest.blocks = []
  youngest.named = 0
  youngest.computedBefore = youngest.computed
  youngest.computed = 0
  youngest.preemptions++
  youngest.state = 'waiting'
  waiting.unshift(youngest)
  events.push({ kind: 'preempted', id: youngest.request.id, atMs })
}

function blocksFor(tokens: number, { blockSize }: SimCoreOptions): number {
  return Math.ceil(tokens / blockSize)
}
