import { sendBody } from './answer.ts'
import { blockHash, hashSeed } from './block-hash.ts'
import { type ApiError, badRequest, type Exchange, sendError } from './exchange.ts'
import type { RequestFaults } from './faults.ts'
import { type GenerateRequest, readGenerateRequest } from './generate-request.ts'
import { type Choice, generate } from './generation.ts'
import type { JsonFields } from './json-fields.ts'
import type { PoolingJob } from './pooling.ts'
import { type Serve, withFields } from './serve.ts'
import type { SubmitResult } from './sim-request.ts'
import type { SimState } from './sim-state.ts'
import { END_TOKEN } from './tokens.ts'
import { createWriter } from './writer.ts'

/** `/v1/chat/completions` and `/v1/completions`. */
export function generateRoute(dialect: 'chat' | 'completion', state: SimState): Serve {
  const { options, maxModelLen } = state
  return inference(state, (fields, exchange, faults) => {
    const asked = readGenerateRequest(dialect, fields, {
      maxModelLen,
      forceIncludeUsage: options.forceIncludeUsage,
    })
    if ('status' in asked) return asked
    const target = resolveModel(asked.model, state)
    if ('status' in target) return target
    const id = (dialect === 'chat' ? 'chatcmpl-' : 'cmpl-') + requestIdOf(exchange, state)
    const result = generate(asked, choicesOf(asked, target.adapter, state), {
      loop: state.loop,
      clock: state.clock,
      reply: exchange.reply,
      faults,
      headers: idHeaders(exchange, id, state),
      id,
      model: target.name,
      cachedTokensShown: options.promptTokensDetails,
      crash: (fault) => state.crash(fault),
    })
    if (result.kind === 'queued') state.metrics.accepted(asked.n, asked.maxTokens)
    return refusalOf(result, state)
  })
}

/** Embeddings, rerank, score: each input is one sequence that ends when its prompt is computed. */
export function poolingRoute(read: (fields: JsonFields) => PoolingJob | ApiError, state: SimState): Serve {
  return inference(state, (fields, exchange, faults) => {
    const job = read(fields)
    if ('status' in job) return job
    const target = resolveModel(job.model, state)
    if ('status' in target) return target
    const { reply } = exchange
    const id = requestIdOf(exchange, state)
    const created = Math.floor(state.clock.now() / 1000)
    const ids = job.inputs.map(() => state.requestId())
    const abortAll = () => {
      for (const sequence of ids) state.loop.abort(sequence)
    }
    let left = ids.length
    let aborted = false
    const finish = () => {
      const crash = faults.get('crash')
      if (crash) state.crash(crash)
      else if (aborted || faults.has('error_frame') || faults.has('finish_abort'))
        sendError(reply, ENGINE_ISSUE)
      else {
        const json = JSON.stringify(job.answer({ id, created, model: target.name }))
        const cutsBody = faults.has('cut')
        sendBody(json, {
          reply,
          faults,
          clock: state.clock,
          headers: idHeaders(exchange, id, state),
          cutsBody,
        })
      }
    }
    for (const [index, promptTokens] of job.inputs.entries()) {
      const result = state.loop.submit(
        {
          id: ids[index] ?? '',
          promptTokens,
          maxTokens: 1,
          adapter: target.adapter,
          next: () => ({ token: END_TOKEN, stop: true }),
        },
        {
          token: () => {},
          ended({ reason }) {
            aborted ||= reason === 'abort'
            if (--left === 0 && !reply.closed) finish()
          },
          flush: () => {},
        },
      )
      if (result.kind === 'queued') continue
      left = Number.POSITIVE_INFINITY
      abortAll()
      return refusalOf(result, state)
    }
    reply.onBroken(abortAll)
    return undefined
  })
}

type ServeInference = (fields: JsonFields, exchange: Exchange, faults: RequestFaults) => ApiError | undefined

/** What all inference calls do first: the faults of the request, then its body. */
function inference(state: SimState, serve: ServeInference): Serve {
  const read = withFields((fields, exchange) => {
    const faults = state.faults.takeForRequest()
    const status = faults.get('status')
    if (status) {
      const headers = status.retryAfterS === undefined ? {} : { 'retry-after': String(status.retryAfterS) }
      sendError(exchange.reply, injected(status.status ?? 503), headers)
      return
    }
    const problem = serve(fields, exchange, faults)
    if (problem) sendError(exchange.reply, problem)
  })
  return read
}

const ENGINE_ISSUE: ApiError = {
  status: 500,
  type: 'InternalServerError',
  message: 'EngineCore encountered an issue. See stack trace (above) for the root cause.',
}

function injected(status: number): ApiError {
  const type = status === 429 ? 'RateLimitError' : status < 500 ? 'BadRequestError' : 'InternalServerError'
  return { status, type, message: `Injected fault: status ${status}.` }
}

/** The base model or an adapter under its name; no name is the base model. */
function resolveModel(
  name: string | undefined,
  { options, adapters }: SimState,
): { name: string; adapter: string | undefined } | ApiError {
  const base = options.servedModelNames[0] ?? options.model
  if (!name || options.servedModelNames.includes(name)) return { name: base, adapter: undefined }
  if (adapters.has(name)) return { name, adapter: name }
  return {
    status: 404,
    type: 'NotFoundError',
    message: `The model \`${name}\` does not exist.`,
    param: 'model',
  }
}

function choicesOf(asked: GenerateRequest, adapter: string | undefined, state: SimState): Choice[] {
  const { options } = state
  return asked.prompts.flatMap((prompt) => {
    const { tokens } = prompt
    const promptHash = blockHash(hashSeed(options.model, adapter ?? ''), tokens, 0, tokens.length)
    return Array.from({ length: asked.n }, (_, choice): Choice => {
      const writer = createWriter({
        mode: options.mode,
        source: prompt.text,
        seeds: [String(asked.seed ?? options.seed), String(promptHash), String(choice)],
        stop: asked.stop,
        stopTokenIds: asked.stopTokenIds,
        includeStop: asked.includeStop,
        ignoreEos: asked.ignoreEos,
        minTokens: asked.minTokens,
      })
      return {
        writer,
        prefix: asked.echo ? prompt.text : '',
        request: {
          id: state.requestId(),
          promptTokens: tokens,
          maxTokens: asked.maxTokens,
          adapter,
          cacheSalt: asked.cacheSalt,
          next: (index) => writer.next(index),
        },
      }
    })
  })
}

function refusalOf(result: SubmitResult, { metrics, maxModelLen }: SimState): ApiError | undefined {
  if (result.kind === 'queued') return undefined
  if (result.reason === 'queue_full') {
    metrics.rejected()
    return {
      status: 503,
      type: 'ServiceUnavailableError',
      message: 'The server is overloaded: max_num_queued_reqs reached. Please retry later.',
    }
  }
  if (result.reason === 'prompt_too_long')
    return badRequest(
      `This model's maximum context length is ${maxModelLen} tokens. However, your request has more input tokens. ` +
        'Please reduce the length of the input.',
      'input_tokens',
    )
  return badRequest(`The request was rejected: ${result.reason}.`)
}

/** A client's `x-request-id` becomes part of the answer's id, as in vLLM. */
function requestIdOf({ header }: Exchange, state: SimState): string {
  return header('x-request-id') ?? state.requestId()
}

function idHeaders({ header }: Exchange, id: string, { options }: SimState): Record<string, string> {
  return options.requestIdHeaders ? { 'x-request-id': header('x-request-id') ?? id } : {}
}
