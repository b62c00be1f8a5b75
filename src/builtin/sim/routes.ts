import { chatPrompt } from './chat-prompt.ts'
import { type ApiError, type Reply, sendError, sendJson, sendText } from './exchange.ts'
import { faultRoutes } from './fault-routes.ts'
import { generateRoute, poolingRoute } from './inference-routes.ts'
import type { JsonFields } from './json-fields.ts'
import { readEmbedding, readRerank, readScore } from './pooling.ts'
import { type Route, type Serve, withFields } from './serve.ts'
import type { SimState } from './sim-state.ts'
import { detokenize, tokenize } from './tokens.ts'

/** The version whose behaviour this follows; the local part says what it is. */
export const SIM_VERSION = '0.32.0+sim'

/** vLLM's calls and ours. Which exist depends on the options, as in vLLM. */
export function routesOf(state: SimState): readonly Route[] {
  const { options } = state
  const health = healthRoute(state)
  const routes: Route[] = [
    ['GET', '/health', health],
    ['GET', '/ping', health],
    ['POST', '/ping', health],
    ['GET', '/version', ({ reply }) => sendJson(reply, 200, { version: SIM_VERSION })],
    ['GET', '/load', ({ reply }) => sendJson(reply, 200, { server_load: loadOf(state) })],
    ['GET', '/metrics', metricsRoute(state)],
    ['GET', '/v1/models', ({ reply }) => sendJson(reply, 200, modelList(state))],
    ['POST', '/tokenize', withFields((fields, { reply }) => sendResult(reply, tokenized(fields, state)))],
    ['POST', '/detokenize', withFields((fields, { reply }) => sendResult(reply, detokenized(fields)))],
    ...faultRoutes(state),
  ]
  if (options.runtimeLora) routes.push(...adapterRoutes(state))
  if (options.runner !== 'pooling')
    routes.push(
      ['POST', '/v1/chat/completions', generateRoute('chat', state)],
      ['POST', '/v1/completions', generateRoute('completion', state)],
    )
  if (options.runner !== 'generate') {
    const rerank = poolingRoute(readRerank, state)
    const score = poolingRoute(readScore, state)
    routes.push(
      ['POST', '/v1/embeddings', poolingRoute(readEmbedding, state)],
      ['POST', '/v1/rerank', rerank],
      ['POST', '/v2/rerank', rerank],
      ['POST', '/rerank', rerank],
      ['POST', '/v1/score', score],
      ['POST', '/score', score],
    )
  }
  return routes
}

function healthRoute({ faults }: SimState): Serve {
  return ({ reply }) => {
    if (faults.take('health_hang')) return
    sendText(reply, faults.take('health_down') ? 503 : 200, '')
  }
}

function metricsRoute(state: SimState): Serve {
  return ({ reply }) => {
    if (state.faults.take('metrics_down')) {
      sendText(reply, 500, 'Internal Server Error', PLAIN)
      return
    }
    const fresh = () => state.metrics.text(state.core.stats(), state.clock.now())
    if (!state.faults.take('metrics_stale')) state.staleMetrics = undefined
    sendText(reply, 200, state.staleMetrics ?? fresh(), {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    })
  }
}

function loadOf({ options, loop }: SimState): number {
  return options.serverLoadTracking ? loop.live() : 0
}

function modelList({ options, adapters, maxModelLen, startedAtMs }: SimState) {
  const card = (id: string, root: string, parent: string | null, length: number | null) => ({
    id,
    object: 'model',
    created: Math.floor(startedAtMs / 1000),
    owned_by: 'vllm',
    root,
    parent,
    max_model_len: length,
    permission: [PERMISSION],
  })
  const base = options.servedModelNames[0] ?? options.model
  return {
    object: 'list',
    data: [
      ...options.servedModelNames.map((name) => card(name, options.model, null, maxModelLen)),
      ...adapters.list().map(({ name, path }) => card(name, path, base, null)),
    ],
  }
}

const PERMISSION = {
  id: 'modelperm-sim',
  object: 'model_permission',
  allow_create_engine: false,
  allow_sampling: true,
  allow_logprobs: true,
  allow_search_indices: false,
  allow_view: true,
  allow_fine_tuning: false,
  organization: '*',
  group: null,
  is_blocking: false,
}

function tokenized(fields: JsonFields, { maxModelLen }: SimState) {
  const prompt = fields.string('prompt')
  const tokens = prompt === undefined ? (chatPrompt(fields)?.tokens ?? []) : tokenize(prompt)
  const strings = fields.boolean('return_token_strs') ? tokens.map((token) => detokenize([token])) : null
  return fields.problem() ?? { count: tokens.length, max_model_len: maxModelLen, tokens, token_strs: strings }
}

function detokenized(fields: JsonFields) {
  const tokens = fields.integers('tokens')
  if (tokens === undefined) fields.fail('tokens', 'tokens must be a list of token ids.')
  return fields.problem() ?? { prompt: detokenize(tokens ?? []) }
}

function adapterRoutes(state: SimState): Route[] {
  const load = async (fields: JsonFields, reply: Reply) => {
    const outcome = await state.adapters.load(fields)
    if (typeof outcome === 'string')
      state.log('INFO', 'serving.py:190', `Loaded new LoRA adapter: name '${fields.string('lora_name')}'`)
    sendOutcome(reply, outcome)
  }
  return [
    ['POST', '/v1/load_lora_adapter', withFields((fields, { reply }) => void load(fields, reply))],
    [
      'POST',
      '/v1/unload_lora_adapter',
      withFields((fields, { reply }) => sendOutcome(reply, state.adapters.unload(fields))),
    ],
  ]
}

function sendOutcome(reply: Reply, outcome: string | ApiError): void {
  if (typeof outcome === 'string') sendText(reply, 200, outcome, PLAIN)
  else sendError(reply, outcome)
}

function sendResult(reply: Reply, result: object): void {
  if ('status' in result) sendError(reply, result as ApiError)
  else sendJson(reply, 200, result)
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8' }
