import { setMaxListeners } from 'node:events'
import { errorText } from '../../base/errors.ts'
import {
  AnswerChunks,
  type AnswerForm,
  type AnswerHead,
  type FinishReason,
  type Usage,
  wholeAnswer,
} from './answer-shapes.ts'
import { readChatFields } from './chat-prompt.ts'
import { type ChoiceResult, writeChoice } from './choice.ts'
import { EventStream } from './event-stream.ts'
import { type Exchange, readJson, sendJson } from './exchange.ts'
import type { JsonObject } from './fields.ts'
import type { Generation } from './generate.ts'
import type { Lane } from './lanes.ts'
import { readPrompts, tokenize } from './prompts.ts'
import { contextExceeded, invalidValue, overloaded, type Refusal, refusal } from './refusal.ts'
import { type Finished, newId, type Serving, type TextTask } from './serving.ts'
import { MOST_CHOICES, readTextFields, type TextFields } from './text-fields.ts'

/** `/v1/chat/completions` and `/v1/completions`. A refusal is not sent yet; everything else is when this resolves. */
export async function serveText(
  form: AnswerForm,
  serving: Serving,
  exchange: Exchange,
): Promise<Finished | Refusal> {
  const read = await readJson(exchange.request)
  if (read.kind === 'gone') return { kind: 'finished', outcome: 'aborted' }
  if (read.kind === 'refused') return read
  const { task } = serving
  if (task.kind !== 'text') {
    return refusal(400, 'not_supported', 'this engine serves embeddings only; start it without --embeddings')
  }
  // From here to the first wait for a sequence nothing may be awaited: an unloaded adapter's lane closes when idle.
  const plan = planAnswer(form, serving, task, read.body)
  if (plan.kind === 'refused') return plan
  return writeAnswer(form, serving, exchange, plan)
}

interface Plan {
  readonly kind: 'ok'
  readonly fields: TextFields
  readonly lane: Lane
  readonly model: string
  /** One for each choice; those of one prompt stand together. */
  readonly generations: readonly Generation[]
  readonly promptTokens: number
}

function planAnswer(form: AnswerForm, serving: Serving, task: TextTask, body: JsonObject): Plan | Refusal {
  if (typeof body.model !== 'string') return invalidValue('model', '"model" must be a string')
  const lane = task.lanes.find(body.model)
  if (lane === undefined) {
    return refusal(404, 'model_not_found', `The model \`${body.model}\` does not exist.`, { param: 'model' })
  }
  const fields = readTextFields(body)
  if (fields.kind === 'refused') return fields
  const prompts = form === 'chat' ? chatPrompt(serving, task, body) : readPrompts(serving, body)
  if (!Array.isArray(prompts)) return prompts as Refusal
  const generations: Generation[] = []
  for (const prompt of prompts as readonly (readonly number[])[]) {
    // OpenAI's default for plain completions; a chat takes what is left.
    const wanted = fields.maxTokens ?? (form === 'chat' ? undefined : 16)
    const left = serving.contextTokens - prompt.length
    if (left < Math.max(1, fields.maxTokens ?? 0)) {
      const param = form === 'chat' ? 'messages' : 'prompt'
      return contextExceeded(param, serving.contextTokens, prompt.length, fields.maxTokens ?? 1)
    }
    for (let choice = 0; choice < fields.choices; choice++) {
      generations.push(generationOf(serving, fields, prompt, Math.min(wanted ?? left, left), choice))
    }
  }
  if (generations.length > MOST_CHOICES) {
    return invalidValue('n', `one request may ask for ${MOST_CHOICES} choices, over all of its prompts`)
  }
  if (!lane.pool.hasRoomFor(generations.length)) return tooBusy()
  const promptTokens = prompts.reduce((sum: number, prompt: readonly number[]) => sum + prompt.length, 0)
  return { kind: 'ok', fields, lane, model: body.model, generations, promptTokens }
}

function chatPrompt(
  serving: Serving,
  task: TextTask,
  body: JsonObject,
): readonly (readonly number[])[] | Refusal {
  const chat = readChatFields(body)
  if (chat.kind === 'refused') return chat
  const rendered = task.chatTemplate(chat.messages, chat)
  if (rendered.kind === 'refused') return rendered
  return [tokenize(serving, rendered.prompt)]
}

function generationOf(
  serving: Serving,
  fields: TextFields,
  prompt: readonly number[],
  maxTokens: number,
  choice: number,
): Generation {
  const seed = fields.seed === undefined ? Math.floor(serving.random() * 0xffffffff) : fields.seed + choice
  return {
    prompt,
    maxTokens,
    stop: fields.stop,
    sampling: { ...fields.sampling, seed },
    ignoreEnd: fields.ignoreEnd,
    // Kept state was computed in other batches, whose sums differ in the last bit.
    reusePrefix: fields.seed === undefined,
  }
}

async function writeAnswer(
  form: AnswerForm,
  serving: Serving,
  exchange: Exchange,
  plan: Plan,
): Promise<Finished | Refusal> {
  const { clock, metrics, model, onFault } = serving
  const { fields, lane } = plan
  const head: AnswerHead = {
    id: newId(form === 'chat' ? 'chatcmpl-' : 'cmpl-', serving.random),
    created: Math.floor(clock.now() / 1000),
    model: plan.model,
  }
  const stream = fields.stream ? new EventStream(exchange, clock) : undefined
  const chunks = new AnswerChunks(form, head, fields.includeUsage)
  const texts = plan.generations.map(() => '')
  const failed = new AbortController()
  const signal = AbortSignal.any([exchange.signal, failed.signal])
  setMaxListeners(0, signal)
  const context = { model, pool: lane.pool, clock, metrics, arrivedMs: exchange.arrivedMs, onFault }
  const results = await Promise.all(
    plan.generations.map(async (generation, index): Promise<ChoiceResult> => {
      let begun = false
      const result = await writeChoice(context, generation, signal, async (text) => {
        if (stream === undefined) {
          texts[index] += text
          return
        }
        const role = begun ? undefined : chunks.role(index)
        begun = true
        if (role !== undefined) await stream.send(role)
        if (text !== '') await stream.send(chunks.text(index, text))
      })
      if (result.kind === 'done') await stream?.send(chunks.finish(index, result.finishReason))
      else failed.abort()
      return result
    }),
  )
  const usage = usageOf(plan, results)
  const refused = refusalOf(results, exchange.signal)
  if (refused !== undefined) {
    if (stream?.isOpen !== true) return refused
    stream.fail(refused)
    return finished(plan, usage, 'error')
  }
  if (results.some(({ kind }) => kind === 'aborted')) return finished(plan, usage, 'aborted')
  if (stream !== undefined) {
    if (fields.includeUsage) await stream.send(chunks.usage(usage))
    await stream.end()
  } else {
    const reasons = results.map(
      (result): FinishReason => (result.kind === 'done' ? result.finishReason : 'stop'),
    )
    const choices = reasons.map((finishReason, index) => ({ text: texts[index] ?? '', finishReason }))
    sendJson(exchange, 200, wholeAnswer(form, head, choices, usage))
  }
  const cutShort = results.some((result) => result.kind === 'done' && result.finishReason === 'length')
  return finished(plan, usage, cutShort ? 'length' : 'stop')
}

function usageOf(plan: Plan, results: readonly ChoiceResult[]): Usage {
  let completionTokens = 0
  let cachedTokens = 0
  for (const [index, result] of results.entries()) {
    if (result.kind !== 'done') continue
    completionTokens += result.completionTokens
    // A prompt counts once, whatever the number of its choices.
    if (index % plan.fields.choices === 0) cachedTokens += result.cachedTokens
  }
  return { promptTokens: plan.promptTokens, completionTokens, cachedTokens }
}

function refusalOf(results: readonly ChoiceResult[], signal: AbortSignal): Refusal | undefined {
  for (const result of results) {
    if (result.kind === 'overloaded') return tooBusy()
    if (result.kind === 'timed_out')
      return overloaded('the request waited too long for a free sequence; try again')
    if (result.kind === 'fault') {
      return refusal(500, 'engine_error', `the engine failed while writing: ${errorText(result.error)}`)
    }
  }
  return signal.aborted && signal.reason === 'shutting_down' ? shuttingDown() : undefined
}

/** Also what a request gets that comes while the engine ends. */
export function shuttingDown(): Refusal {
  return refusal(503, 'shutting_down', 'the engine is shutting down', { retryAfterSeconds: 1 })
}

function tooBusy(): Refusal {
  return overloaded('all sequences are busy and the queue is full; try again in a moment')
}

function finished(plan: Plan, usage: Usage, outcome: Finished['outcome']): Finished {
  const { promptTokens, completionTokens } = usage
  return { kind: 'finished', outcome, model: plan.model, promptTokens, completionTokens }
}
