/** Which of OpenAI's two forms an answer takes. */
export type AnswerForm = 'chat' | 'completion'

/** What all parts of one answer say about it. */
export interface AnswerHead {
  readonly id: string
  /** Seconds since the epoch. */
  readonly created: number
  readonly model: string
}

export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
  readonly cachedTokens: number
}

export type FinishReason = 'stop' | 'length'

/** A whole answer. `texts` in order of choice. */
export function wholeAnswer(
  form: AnswerForm,
  head: AnswerHead,
  choices: readonly { readonly text: string; readonly finishReason: FinishReason }[],
  usage: Usage,
): object {
  return {
    id: head.id,
    object: form === 'chat' ? 'chat.completion' : 'text_completion',
    created: head.created,
    model: head.model,
    choices: choices.map(({ text, finishReason }, index) => ({
      index,
      ...(form === 'chat' ? { message: { role: 'assistant', content: text, refusal: null } } : { text }),
      logprobs: null,
      finish_reason: finishReason,
    })),
    usage: usageBody(usage),
  }
}

/** The parts of a streamed answer. With `includeUsage`, all but the last carry `usage: null`. */
export class AnswerChunks {
  readonly #form: AnswerForm
  readonly #head: AnswerHead
  readonly #includeUsage: boolean

  constructor(form: AnswerForm, head: AnswerHead, includeUsage: boolean) {
    this.#form = form
    this.#head = head
    this.#includeUsage = includeUsage
  }

  /** The first of a chat's choice; plain completions have none. */
  role(index: number): object | undefined {
    return this.#form === 'chat'
      ? this.#chunk([this.#choice(index, { role: 'assistant', content: '' })])
      : undefined
  }

  text(index: number, text: string): object {
    return this.#chunk([this.#choice(index, this.#form === 'chat' ? { content: text } : text)])
  }

  finish(index: number, finishReason: FinishReason): object {
    return this.#chunk([this.#choice(index, this.#form === 'chat' ? {} : '', finishReason)])
  }

  usage(usage: Usage): object {
    return { ...this.#chunk([]), usage: usageBody(usage) }
  }

  #choice(index: number, delta: object | string, finishReason: FinishReason | null = null): object {
    return {
      index,
      ...(typeof delta === 'string' ? { text: delta } : { delta }),
      logprobs: null,
      finish_reason: finishReason,
    }
  }

  #chunk(choices: readonly object[]): object {
    return {
      id: this.#head.id,
      object: this.#form === 'chat' ? 'chat.completion.chunk' : 'text_completion',
      created: this.#head.created,
      model: this.#head.model,
      choices,
      ...(this.#includeUsage ? { usage: null } : {}),
    }
  }
}

export function usageBody({ promptTokens, completionTokens, cachedTokens }: Usage): object {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  }
}
