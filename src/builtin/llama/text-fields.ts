import { Fields, type JsonObject } from './fields.ts'
import { type Refusal, unsupported } from './refusal.ts'
import type { Sampling } from './sampling.ts'

/** What chat and plain completions have in common. */
export interface TextFields {
  readonly kind: 'ok'
  /** Absent: as many as fit. */
  readonly maxTokens: number | undefined
  readonly choices: number
  readonly stop: readonly string[]
  readonly sampling: Omit<Sampling, 'seed'>
  readonly seed: number | undefined
  readonly ignoreEnd: boolean
  readonly stream: boolean
  readonly includeUsage: boolean
}

/** Answers to one request, at most: each takes a sequence. */
export const MOST_CHOICES = 16

const MOST_STOPS = 4
const MOST_STOP_LENGTH = 1024

/** Fields that change the answer and that we cannot honour, with the values that ask for nothing. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  prompt_logprobs: () => false,
  logit_bias: isEmpty,
  tools: isEmpty,
  functions: isEmpty,
  response_format: (value) => (value as { type?: unknown }).type === 'text',
  best_of: (value) => value === 1,
  echo: (value) => value === false,
  suffix: (value) => value === '',
  repetition_penalty: (value) => value === 1,
  use_beam_search: (value) => value === false,
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text',
  audio: () => false,
  guided_json: () => false,
  guided_regex: () => false,
  guided_choice: () => false,
  guided_grammar: () => false,
  structured_outputs: isEmpty,
  grammar: (value) => value === '',
}

export function readTextFields(body: JsonObject): TextFields | Refusal {
  for (const [name, asksForNothing] of Object.entries(UNSUPPORTED)) {
    const value = body[name] ?? undefined
    if (value !== undefined && !asksForNothing(value)) return unsupported(name)
  }
  const fields = new Fields(body)
  const maxTokens = fields.integer('max_completion_tokens', 1, 2 ** 31 - 1)
  const olderMaxTokens = fields.integer('max_tokens', 1, 2 ** 31 - 1)
  const streamOptions = fields.object('stream_options')
  const result: TextFields = {
    kind: 'ok',
    maxTokens: maxTokens ?? olderMaxTokens,
    choices: fields.integer('n', 1, MOST_CHOICES) ?? 1,
    stop: readStop(fields),
    sampling: {
      temperature: fields.number('temperature', 0, 2) ?? 1,
      topP: fields.number('top_p', 0, 1) ?? 1,
      // vLLM and older clients write -1 for "all".
      topK: Math.max(0, fields.integer('top_k', -1, 1_000_000) ?? 0),
      minP: fields.number('min_p', 0, 1) ?? 0,
      frequencyPenalty: fields.number('frequency_penalty', -2, 2) ?? 0,
      presencePenalty: fields.number('presence_penalty', -2, 2) ?? 0,
    },
    seed: fields.integer('seed', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    ignoreEnd: fields.boolean('ignore_eos') ?? false,
    stream: fields.boolean('stream') ?? false,
    includeUsage: streamOptions?.include_usage === true,
  }
  return fields.problem ?? result
}

function readStop(fields: Fields): readonly string[] {
  const value = fields.raw('stop')
  if (value === undefined) return []
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value]
  const good = stops.every(
    (stop): stop is string => typeof stop === 'string' && stop.length > 0 && stop.length <= MOST_STOP_LENGTH,
  )
  if (good && stops.length <= MOST_STOPS) return stops as readonly string[]
  fields.wrong('stop', `"stop" must be a string or up to ${MOST_STOPS} strings, none of them empty`)
  return []
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}
