import type { Clock } from '../../base/clock.ts'
import { type Answer, streamedAnswer, wholeAnswer } from './answer.ts'
import { chatDialect, completionDialect, type Usage } from './dialects.ts'
import type { EngineLoop, SequenceListener } from './engine-loop.ts'
import type { Reply } from './exchange.ts'
import type { Fault, RequestFaults } from './faults.ts'
import type { GenerateRequest } from './generate-request.ts'
import type { FinishReason, SimRequest, SubmitResult } from './sim-request.ts'
import type { Writer } from './writer.ts'

/** One choice: what goes to the core, and the writer behind its tokens. */
export interface Choice {
  readonly request: SimRequest
  readonly writer: Writer
  /** Comes back before the output (`echo` of completions). */
  readonly prefix: string
}

export interface GenerationContext {
  readonly loop: EngineLoop
  readonly clock: Clock
  readonly reply: Reply
  readonly faults: RequestFaults
  readonly headers: Readonly<Record<string, string>>
  /** Id of the answer, `chatcmpl-…` or `cmpl-…`. */
  readonly id: string
  /** Model name in the answer. */
  readonly model: string
  readonly cachedTokensShown: boolean
  readonly crash: (fault: Fault) => void
}

/**
 * Submits the choices of a request and writes the answer as their tokens come. When the client leaves, in any
 * phase, every choice is aborted and its blocks are free at once. A rejection is returned and nothing was
 * written; otherwise the answer is under way.
 */
export function generate(
  asked: GenerateRequest,
  choices: readonly Choice[],
  context: GenerationContext,
): SubmitResult {
  const { loop, reply, faults } = context
  const answer = answerFor(asked, choices.length, context)
  const triggers = triggersOf(faults)
  const promptTokens = asked.prompts.reduce((sum, prompt) => sum + prompt.tokens.length, 0)
  let outputTokens = 0
  let cachedTokens = 0
  let running = choices.length
  let over = false

  const usage = (): Usage => ({
    promptTokens,
    outputTokens,
    cachedTokens: context.cachedTokensShown ? cachedTokens : undefined,
  })
  const tell = (
    index: number,
    news: { text: string; ids: readonly number[]; finish: FinishReason | undefined },
  ) =>
    answer.delta(
      {
        index,
        text: news.text,
        finish: news.finish,
        stopReason: news.finish === undefined ? undefined : choices[index]?.writer.stoppedBy(),
        tokenIds: asked.returnTokenIds ? news.ids : undefined,
        usage: asked.includeUsage && asked.continuousUsage ? usage() : undefined,
      },
      outputTokens,
    )
  const abortAll = () => {
    for (const { request } of choices) loop.abort(request.id)
  }
  const strike = (fault: Fault) => {
    if (fault.kind === 'finish_abort') abortAll()
    else if (fault.kind === 'crash') context.crash(fault)
    else if (fault.kind === 'cut') answer.cut(fault.afterTokens ?? 0)
    else {
      over = true
      answer.fail({ status: fault.status ?? 500, type: 'InternalServerError', message: ENGINE_ISSUE })
      abortAll()
    }
  }
  const strikeDue = () => {
    for (const fault of triggers.due(outputTokens)) if (!over) strike(fault)
  }

  const listenTo = ({ writer, prefix }: Choice, index: number): SequenceListener => ({
    token({ index: at, token, finish }) {
      if (over) return
      outputTokens++
      const text = (at === 0 ? prefix : '') + writer.takeText(finish !== undefined)
      tell(index, { text, ids: [token], finish })
      strikeDue()
    },
    ended(end) {
      running--
      if (index === 0) cachedTokens = end.cachedTokens
      if (over) return
      if (end.reason === 'abort') tell(index, { text: writer.takeText(true), ids: [], finish: 'abort' })
      if (running > 0) return
      over = true
      answer.finish(usage())
    },
    flush: answer.flush,
  })

  for (const [index, choice] of choices.entries()) {
    const result = loop.submit(choice.request, listenTo(choice, index))
    if (result.kind === 'queued') continue
    over = true
    abortAll()
    return result
  }
  answer.start()
  reply.onBroken(() => {
    over = true
    abortAll()
  })
  strikeDue()
  answer.flush()
  return { kind: 'queued' }
}

/** What vLLM tells a client whose request the engine core could not finish. */
const ENGINE_ISSUE = 'EngineCore encountered an issue. See stack trace (above) for the root cause.'

function answerFor(asked: GenerateRequest, choices: number, context: GenerationContext): Answer {
  const { reply, faults, clock, headers } = context
  const head = { id: context.id, model: context.model, created: Math.floor(clock.now() / 1000) }
  const dialect = asked.dialect === 'chat' ? chatDialect(head) : completionDialect(head)
  const make = asked.stream ? streamedAnswer : wholeAnswer
  return make({ dialect, reply, faults, clock, headers, choices, includeUsage: asked.includeUsage })
}

/** The faults that strike at some number of output tokens, each once. */
function triggersOf(faults: RequestFaults) {
  const waiting = (['cut', 'error_frame', 'finish_abort', 'crash'] as const).flatMap(
    (kind) => faults.get(kind) ?? [],
  )
  return {
    due(tokens: number): Fault[] {
      if (waiting.length === 0) return []
      const due = waiting.filter((fault) => tokens >= (fault.afterTokens ?? 0))
      for (const fault of due) waiting.splice(waiting.indexOf(fault), 1)
      return due
    },
  }
}
