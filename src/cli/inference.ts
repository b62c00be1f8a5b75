import { YardError } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

export interface ChatParameters {
  readonly temperature?: number
  readonly maxTokens?: number
  readonly seed?: number
}

export interface ChatStats {
  readonly firstTokenMs: number | undefined
  readonly totalMs: number
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
  readonly finishReason: string | undefined
}

export interface GatewayAccess {
  readonly fetch: Fetch
  readonly baseUrl: string
  readonly token: string
  readonly nowMs: () => number
}

/**
 * Asks for a chat completion as a stream; `onText` gets each piece as it comes. Faults: the gateway's own error,
 * `unavailable` when the stream ends without its end mark (the answer is then incomplete).
 */
export async function streamChat(
  access: GatewayAccess,
  request: { model: string; messages: readonly ChatMessage[]; parameters: ChatParameters },
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly stats: ChatStats }> {
  const startMs = access.nowMs()
  const { parameters } = request
  const response = await post(
    access,
    '/v1/chat/completions',
    {
      model: request.model,
      messages: request.messages,
      stream: true,
      stream_options: { include_usage: true },
      ...(parameters.temperature === undefined ? {} : { temperature: parameters.temperature }),
      ...(parameters.maxTokens === undefined ? {} : { max_tokens: parameters.maxTokens }),
      ...(parameters.seed === undefined ? {} : { seed: parameters.seed }),
    },
    signal,
  )
  let text = ''
  let firstTokenMs: number | undefined
  let finishReason: string | undefined
  let usage: { prompt_tokens?: number; completion_tokens?: number } | undefined
  let ended = false
  for await (const data of eventsOf(response)) {
    if (data === '[DONE]') {
      ended = true
      break
    }
    const chunk = JSON.parse(data) as {
      error?: { message?: string }
      choices?: {
        delta?: { content?: string | null; reasoning_content?: string | null }
        finish_reason?: string | null
      }[]
      usage?: { prompt_tokens?: number; completion_tokens?: number } | null
    }
    if (chunk.error)
      throw new YardError(
        'unavailable',
        chunk.error.message ?? 'the engine reported an error in the middle of the answer',
      )
    const [choice] = chunk.choices ?? []
    const piece = choice?.delta?.content ?? ''
    if (piece !== '') {
      firstTokenMs ??= access.nowMs() - startMs
      text += piece
      onText(piece)
    }
    finishReason = choice?.finish_reason ?? finishReason
    usage = chunk.usage ?? usage
  }
  if (!ended)
    throw new YardError('unavailable', 'the answer broke off before its end', {
      hint: 'ask again; see `yard events` for what happened to the replica',
    })
  return {
    text,
    stats: {
      firstTokenMs,
      totalMs: access.nowMs() - startMs,
      promptTokens: usage?.prompt_tokens,
      completionTokens: usage?.completion_tokens,
      finishReason,
    },
  }
}

/** The vectors of `inputs`, in order. */
export async function embedTexts(
  access: GatewayAccess,
  model: string,
  inputs: readonly string[],
  signal: AbortSignal,
): Promise<readonly (readonly number[])[]> {
  const response = await post(
    access,
    '/v1/embeddings',
    { model, input: inputs, encoding_format: 'float' },
    signal,
  )
  const body = (await response.json()) as { data: { index: number; embedding: number[] }[] }
  return [...body.data].sort((a, b) => a.index - b.index).map((item) => item.embedding)
}

/** Names of the models that the credential may use. */
export async function listServedModels(
  access: GatewayAccess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const response = await send(
    access,
    new Request(`${access.baseUrl}/v1/models`, {
      headers: { authorization: `Bearer ${access.token}` },
      signal,
    }),
  )
  const body = (await response.json()) as { data: { id: string }[] }
  return body.data.map((model) => model.id)
}

function post(access: GatewayAccess, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  return send(
    access,
    new Request(`${access.baseUrl}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${access.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal,
    }),
  )
}

async function send(access: GatewayAccess, request: Request): Promise<Response> {
  const response = await access.fetch(request).catch((cause: unknown) => {
    if (request.signal.aborted) throw request.signal.reason
    throw new YardError('unreachable', `the gateway at ${access.baseUrl} can't be reached`, {
      hint: 'name it with --gateway URL or YARD_GATEWAY',
      cause,
    })
  })
  if (response.ok) return response
  const body = (await response.json().catch(() => undefined)) as
    | { error?: { message?: string; code?: string } }
    | undefined
  const message = body?.error?.message ?? `the gateway answered ${response.status}`
  if (response.status === 401)
    throw new YardError('unauthenticated', message, { hint: 'set YARD_TOKEN to a key with scope inference' })
  if (response.status === 403) throw new YardError('forbidden', message)
  if (response.status === 404)
    throw new YardError('not_found', message, { hint: 'see what is loaded: yard list' })
  if (response.status === 429) throw new YardError('limited', message)
  throw new YardError(response.status >= 500 ? 'unavailable' : 'invalid_request', message)
}

/** The `data:` of each server-sent event. */
async function* eventsOf(response: Response): AsyncGenerator<string> {
  if (response.body === null) return
  const decoder = new TextDecoder()
  let held = ''
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    held += decoder.decode(bytes, { stream: true })
    const lines = held.split(/\r\n|\n|\r/)
    held = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('data:')) yield line.slice(5).trim()
    }
  }
}
