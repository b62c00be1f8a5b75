import { chatPrompt, type Prompt } from './chat-prompt.ts'
import { type ApiError, badRequest } from './exchange.ts'
import { isInteger, isListOf, isString, type JsonFields } from './json-fields.ts'
import { detokenize, tokenize } from './tokens.ts'

/** A chat or completion request after validation. */
export interface GenerateRequest {
  readonly dialect: 'chat' | 'completion'
  readonly model: string | undefined
  /** One for chat. */
  readonly prompts: readonly Prompt[]
  /** Choices per prompt. */
  readonly n: number
  readonly maxTokens: number
  readonly minTokens: number
  readonly ignoreEos: boolean
  readonly stop: readonly string[]
  readonly stopTokenIds: readonly number[]
  readonly includeStop: boolean
  readonly seed: number | undefined
  readonly cacheSalt: string | undefined
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  readonly returnTokenIds: boolean
  /** Completions only: the prompt comes back before the output. */
  readonly echo: boolean
}

export function readGenerateRequest(
  dialect: 'chat' | 'completion',
  fields: JsonFields,
  { maxModelLen, forceIncludeUsage }: { maxModelLen: number; forceIncludeUsage: boolean },
): GenerateRequest | ApiError {
  const chat = dialect === 'chat'
  const chatted = chat ? chatPrompt(fields) : undefined
  const prompts = chat ? (chatted ? [chatted] : []) : completionPrompts(fields)
  const asked =
    (chat ? fields.integer('max_completion_tokens', 1) : undefined) ?? fields.integer('max_tokens', 1)
  const stream = fields.boolean('stream') ?? false
  const usage = fields.object('stream_options')
  if (usage !== undefined && !stream)
    fields.fail('stream_options', 'Stream options can only be defined when `stream=True`.')
  const longest = Math.max(...prompts.map((prompt) => prompt.tokens.length))
  const request: GenerateRequest = {
    dialect,
    model: fields.string('model'),
    prompts,
    n: fields.integer('n', 1) ?? 1,
    maxTokens: asked ?? (chat ? maxModelLen - longest : DEFAULT_COMPLETION_TOKENS),
    minTokens: fields.integer('min_tokens', 0) ?? 0,
    ignoreEos: fields.boolean('ignore_eos') ?? false,
    stop: fields.strings('stop') ?? [],
    stopTokenIds: fields.integers('stop_token_ids') ?? [],
    includeStop: fields.boolean('include_stop_str_in_output') ?? false,
    seed: fields.integer('seed', Number.MIN_SAFE_INTEGER),
    cacheSalt: fields.string('cache_salt'),
    stream,
    includeUsage: forceIncludeUsage || (usage?.boolean('include_usage') ?? false),
    continuousUsage: usage?.boolean('continuous_usage_stats') ?? false,
    returnTokenIds: fields.boolean('return_token_ids') ?? false,
    echo: !chat && (fields.boolean('echo') ?? false),
  }
  if (request.n * prompts.length > MOST_CHOICES) fields.fail('n', `n must be at most ${MOST_CHOICES}.`)
  const problem = fields.problem()
  if (problem) return problem
  if (longest + (asked ?? 1) > maxModelLen) return tooLong(longest, asked ?? 1, maxModelLen)
  return request
}

/** vLLM's VLLM_MAX_N_SEQUENCES is higher; one request need not fill a simulated engine. */
const MOST_CHOICES = 1024
const DEFAULT_COMPLETION_TOKENS = 16

function completionPrompts(fields: JsonFields): Prompt[] {
  const raw = fields.raw('prompt')
  const prompts = isString(raw)
    ? [textPrompt(raw)]
    : isListOf(isString)(raw)
      ? raw.map(textPrompt)
      : isListOf(isInteger)(raw)
        ? [tokenPrompt(raw)]
        : isListOf(isListOf(isInteger))(raw)
          ? raw.map(tokenPrompt)
          : []
  if (prompts.length === 0 || prompts.some((prompt) => prompt.tokens.length === 0))
    fields.fail('prompt', 'Either prompt or prompt_embeds must be provided and non-empty.')
  return prompts
}

function textPrompt(text: string): Prompt {
  return { text, tokens: tokenize(text) }
}

function tokenPrompt(tokens: readonly number[]): Prompt {
  return { tokens, text: detokenize(tokens) }
}

/** The words of vLLM's renderers/params.py; clients search them for "maximum context length". */
function tooLong(input: number, output: number, limit: number): ApiError {
  return badRequest(
    `This model's maximum context length is ${limit} tokens. However, you requested ${output} output tokens and ` +
      `your prompt contains ${input} input tokens, for a total of ${input + output} tokens. Please reduce the ` +
      `length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=${input})`,
    'input_tokens',
  )
}
