import { seededRandom } from '../../base/random.ts'
import { createBlockPool } from './block-pool.ts'
import type { SimCoreOptions } from './core-options.ts'
import { finishedEvent, nameFullBlocks, newSequence, type Sequence } from './sequence.ts'
import type {
  FinishReason,
  SimEvent,
  SimFinished,
  SimRequest,
  SimStats,
  SubmitResult,
} from './sim-request.ts'
import { type PlannedStep, planStep } from './step-plan.ts'
import type { StepLoad } from './step-time.ts'

/**
 * A vLLM engine core without the GPU: a step loop over virtual time. Nothing happens by itself: `step()` ends
 * the step in flight (one token for each sequence whose KV is complete) and plans the next. All times are
 * floating-point milliseconds, so that steps shorter than one are kept. Same calls, same seed: same events.
 */
export interface SimCore {
  submit(request: SimRequest, nowMs: number): SubmitResult
  /** Ends a sequence at once and frees its blocks, also in the middle of a step. Undefined when unknown. */
  abort(id: string, nowMs: number): SimFinished | undefined
  /** When `step()` is due. Undefined when there is nothing to do. */
  nextEventAtMs(): number | undefined
  /** Does what is due, `atMs` being that time or a later one (a device that fell behind). */
  step(atMs?: number): readonly SimEvent[]
  stats(): SimStats
}

export function createSimCore(options: SimCoreOptions): SimCore {
  checkOptions(options)
  const pool = createBlockPool(options.numBlocks)
  const random = seededRandom(options.seed)
  const waiting: Sequence[] = []
  const running: Sequence[] = []
  const byId = new Map<string, Sequence>()
  let lastMs = Number.NEGATIVE_INFINITY
  let inFlight:
    | { readonly plan: PlannedStep; readonly endAtMs: number; readonly durationMs: number }
    | undefined

  const end = (sequence: Sequence, reason: FinishReason, atMs: number): SimFinished => {
    const queue = sequence.state === 'running' ? running : waiting
    const at = queue.indexOf(sequence)
    if (at >= 0) queue.splice(at, 1)
    pool.release(sequence.blocks)
    sequence.blocks = []
    sequence.state = 'ended'
    byId.delete(sequence.request.id)
    return finishedEvent(sequence, reason, atMs)
  }

  const sample = (sequence: Sequence, atMs: number, events: SimEvent[]) => {
    const { request, promptLength, tokens } = sequence
    const index = tokens.length - promptLength
    const { token, stop } = request.next(index)
    tokens.push(token)
    sequence.firstTokenAtMs ??= atMs
    const full = index + 1 >= request.maxTokens || tokens.length >= options.maxModelLen
    const finish = stop ? 'stop' : full ? 'length' : undefined
    events.push({ kind: 'token', id: request.id, atMs, index, token, finish })
    if (finish !== undefined) events.push(end(sequence, finish, atMs))
  }

  const completeStep = (step: NonNullable<typeof inFlight>, atMs: number, events: SimEvent[]) => {
    let outputTokens = 0
    for (const { sequence, tokens } of step.plan.work) {
      // Aborted while the step ran: its blocks are gone, its token is nobody's.
      if (sequence.state !== 'running') continue
      sequence.computed += tokens
      if (options.prefixCaching) nameFullBlocks(sequence, pool, options.blockSize)
      if (sequence.computed < sequence.tokens.length) continue
      outputTokens++
      sample(sequence, atMs, events)
    }
    const { prefillTokens, recomputedTokens } = step.plan
    events.push({
      kind: 'stepped',
      atMs,
      durationMs: step.durationMs,
      prefillTokens,
      recomputedTokens,
      outputTokens,
    })
  }

  const beginStep = (atMs: number, events: SimEvent[]) => {
    const plan = planStep({ options, pool, waiting, running, atMs, events })
    if (plan.work.length === 0) return
    const load: StepLoad = {
      prefillTokens: plan.prefillTokens,
      decodeSequences: plan.decodeSequences,
      activeKv: 1 - pool.freeCount() / pool.numBlocks,
      batchFill: running.length / options.maxNumSeqs,
    }
    const durationMs = (options.stepMs(load) * noise(random, options.jitter)) / options.speed
    inFlight = { plan, durationMs, endAtMs: atMs + durationMs }
  }

  const nextEventAtMs = () => {
    if (inFlight) return inFlight.endAtMs
    const first = waiting[0]
    // One that was preempted arrived long ago; time does not go back for it.
    return first && Math.max(first.arrivedAtMs, lastMs)
  }

  return {
    submit(request, nowMs) {
      if (request.promptTokens.length === 0) return { kind: 'rejected', reason: 'prompt_empty' }
      if (request.promptTokens.length >= options.maxModelLen)
        return { kind: 'rejected', reason: 'prompt_too_long' }
      if (byId.has(request.id)) return { kind: 'rejected', reason: 'id_in_use' }
      if (byId.size >= options.maxQueuedRequests) return { kind: 'rejected', reason: 'queue_full' }
      const sequence = newSequence(request, options.model, nowMs)
      byId.set(request.id, sequence)
      waiting.push(sequence)
      return { kind: 'queued' }
    },
    abort(id, nowMs) {
      const sequence = byId.get(id)
      return sequence && end(sequence, 'abort', nowMs)
    },
    nextEventAtMs,
    step(atMs) {
      const events: SimEvent[] = []
      const dueAtMs = nextEventAtMs()
      if (dueAtMs === undefined) return events
      const nowMs = Math.max(dueAtMs, atMs ?? dueAtMs)
      lastMs = nowMs
      const ended = inFlight
      inFlight = undefined
      if (ended) completeStep(ended, nowMs, events)
      beginStep(nowMs, events)
      return events
    },
    stats: () => ({
      running: running.length,
      waiting: waiting.length,
      waitingForAdapter: waiting.filter((sequence) => sequence.waitsForAdapter).length,
      kvUsage: 1 - pool.freeCount() / pool.numBlocks,
      runningAdapters: adaptersOf(running),
      waitingAdapters: adaptersOf(waiting),
    }),
  }
}

function checkOptions(options: SimCoreOptions): void {
  const { maxModelLen, numBlocks, blockSize, maxNumBatchedTokens, maxNumSeqs } = options
  if (maxModelLen > numBlocks * blockSize)
    throw new RangeError(
      `sim core: a sequence of ${maxModelLen} tokens does not fit ${numBlocks} × ${blockSize}`,
    )
  if (maxNumBatchedTokens < maxNumSeqs)
    throw new RangeError(
      `sim core: ${maxNumBatchedTokens} tokens a step starve some of ${maxNumSeqs} sequences`,
    )
}

/** Mean 1, within 0.3 and 1.7: the sum of three uniforms is near enough to a normal distribution. */
function noise(random: () => number, jitter: number): number {
  if (jitter === 0) return 1
  const normal = (random() + random() + random() - 1.5) * 2
  return 1 + Math.max(-0.7, Math.min(0.7, normal * jitter))
}

function adaptersOf(sequences: readonly Sequence[]): string[] {
  return [...new Set(sequences.flatMap(({ request }) => request.adapter ?? []))].sort()
}
