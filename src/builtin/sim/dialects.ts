import type { FinishReason } from './sim-request.ts'

/** Token counts as `usage` reports them. */
export interface Usage {
  readonly promptTokens: number
  readonly outputTokens: number
  /** Undefined when details are off. */
  readonly cachedTokens: number | undefined
}

/** One choice's news: some text, and how it ended if it did. */
export interface ChoiceDelta {
  readonly index: number
  readonly text: string
  readonly finish: FinishReason | undefined
  readonly stopReason: string | number | undefined
  /** Undefined when the request did not ask for ids. */
  readonly tokenIds: readonly number[] | undefined
  /** Set when every chunk carries usage. */
  readonly usage: Usage | undefined
}

export interface ChoiceResult extends Omit<ChoiceDelta, 'finish' | 'usage'> {
  readonly finish: FinishReason
}

/** The shape of one answer, as JSON text. Field order and which nulls appear are vLLM's. */
export interface Dialect {
  /** The first chunk of a choice, before its first token; undefined where the dialect has none. */
  opening(index: number, usage: Usage | undefined): string | undefined
  chunk(delta: ChoiceDelta): string
  /** The chunk without choices that `include_usage` asks for. */
  closing(usage: Usage): string
  whole(choices: readonly ChoiceResult[], usage: Usage): string
}

export interface AnswerHead {
  readonly id: string
  /** Unix seconds. */
  readonly created: number
  readonly model: string
}

/** `/v1/chat/completions` (entrypoints/openai/chat_completion/serving.py). */
export function chatDialect(head: AnswerHead): Dialect {
  const begin = beginning(head, 'chat.completion.chunk')
  return {
    opening: (index, usage) =>
      `${begin}[{"index":${index},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]` +
      `,"prompt_token_ids":null${usageField(usage)}}`,
    chunk: (delta) =>
      `${begin}[{"index":${delta.index},"delta":{"content":${JSON.stringify(delta.text)}},"logprobs":null` +
      `${ending(delta)},"token_ids":${ids(delta.tokenIds)}}]${usageField(delta.usage)}}`,
    closing: (usage) => `${begin}[]${usageField(usage)}}`,
    whole: (choices, usage) =>
      `${beginning(head, 'chat.completion')}[${choices.map(chatChoice).join(',')}],"service_tier":null,` +
      `"system_fingerprint":null${usageField(usage, true)},"prompt_logprobs":null,"prompt_token_ids":null,` +
      `"prompt_text":null,"kv_transfer_params":null}`,
  }
}

/** `/v1/completions` (entrypoints/openai/completion/serving.py). */
export function completionDialect(head: AnswerHead): Dialect {
  const begin = beginning(head, 'text_completion')
  return {
    opening: () => undefined,
    chunk: (delta) =>
      `${begin}[{"index":${delta.index},"text":${JSON.stringify(delta.text)},"logprobs":null` +
      `,"finish_reason":${quoted(delta.finish)},"stop_reason":${JSON.stringify(delta.stopReason ?? null)}` +
      `,"prompt_token_ids":null,"token_ids":${ids(delta.tokenIds)}}]${usageField(delta.usage)}}`,
    closing: (usage) => `${begin}[]${usageField(usage)}}`,
    whole: (choices, usage) =>
      `${begin}[${choices.map(completionChoice).join(',')}],"service_tier":null,"system_fingerprint":null` +
      `${usageField(usage, true)},"kv_transfer_params":null}`,
  }
}

function beginning({ id, created, model }: AnswerHead, object: string): string {
  const [idText, modelText] = [JSON.stringify(id), JSON.stringify(model)]
  return `{"id":${idText},"object":"${object}","created":${created},"model":${modelText},"choices":`
}

/** A chunk has `stop_reason` only when it ends its choice: pydantic leaves out what was not set. */
function ending({ finish, stopReason }: ChoiceDelta): string {
  if (finish === undefined) return ',"finish_reason":null'
  return `,"finish_reason":"${finish}","stop_reason":${JSON.stringify(stopReason ?? null)}`
}

function chatChoice(choice: ChoiceResult): string {
  return (
    `{"index":${choice.index},"message":{"role":"assistant","content":${JSON.stringify(choice.text)},"refusal":null,` +
    `"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,` +
    `"finish_reason":"${choice.finish}","stop_reason":${JSON.stringify(choice.stopReason ?? null)},` +
    `"token_ids":${ids(choice.tokenIds)}}`
  )
}

function completionChoice(choice: ChoiceResult): string {
  return (
    `{"index":${choice.index},"text":${JSON.stringify(choice.text)},"logprobs":null,` +
    `"finish_reason":"${choice.finish}","stop_reason":${JSON.stringify(choice.stopReason ?? null)},` +
    `"token_ids":${ids(choice.tokenIds)},"prompt_logprobs":null,"prompt_token_ids":null}`
  )
}

/** `whole`: a plain answer names the details even when there are none. */
function usageField(usage: Usage | undefined, whole = false): string {
  if (usage === undefined) return ''
  const { promptTokens, outputTokens, cachedTokens } = usage
  const details = cachedTokens === undefined ? undefined : `{"cached_tokens":${cachedTokens}}`
  return (
    `,"usage":{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens + outputTokens},` +
    `"completion_tokens":${outputTokens}` +
    `${details === undefined && !whole ? '' : `,"prompt_tokens_details":${details ?? 'null'}`}}`
  )
}

function quoted(text: string | undefined): string {
  return text === undefined ? 'null' : `"${text}"`
}

function ids(tokens: readonly number[] | undefined): string {
  return tokens === undefined ? 'null' : `[${tokens.join(',')}]`
}
