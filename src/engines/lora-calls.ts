import type { AdapterResult, EngineCall, HttpResult } from './engine.ts'
import { isObject, parseJson } from './json.ts'
import { isSuccess } from './probe-verdicts.ts'

/** Loading reads the adapter's weights from disk and copies them to the devices. */
const LOAD_TIMEOUT_MS = 120_000
const UNLOAD_TIMEOUT_MS = 30_000

/**
 * vLLM's calls, which the built-in engines share. 200 is plain text; 400 "has already been loaded" is what was wanted;
 * 404 is an unknown path, or (with FastAPI's body) an engine that was not started for it; 500 is the worker's refusal.
 * Source: vllm/entrypoints/openai/models/serving.py.
 */
export const vllmLora = {
  load: ({ name, path }: { name: string; path: string }): EngineCall<AdapterResult> => ({
    call: {
      method: 'POST',
      path: '/v1/load_lora_adapter',
      body: { lora_name: name, lora_path: path },
      timeoutMs: LOAD_TIMEOUT_MS,
    },
    read: (result) => readOutcome(result, /already been loaded/i),
  }),
  unload: (name: string): EngineCall<AdapterResult> => ({
    call: {
      method: 'POST',
      path: '/v1/unload_lora_adapter',
      body: { lora_name: name },
      timeoutMs: UNLOAD_TIMEOUT_MS,
    },
    read: (result) => readOutcome(result, /cannot be found/i),
  }),
}

/** SGLang's calls: no `/v1`; 400 with `success: false` on failure. Source: sglang/srt/entrypoints/http_server.py. */
export const sglangLora = {
  load: ({ name, path }: { name: string; path: string }): EngineCall<AdapterResult> => ({
    call: {
      method: 'POST',
      path: '/load_lora_adapter',
      body: { lora_name: name, lora_path: path },
      timeoutMs: LOAD_TIMEOUT_MS,
    },
    read: (result) => readOutcome(result, /already (?:been )?loaded|already exists/i),
  }),
  unload: (name: string): EngineCall<AdapterResult> => ({
    call: {
      method: 'POST',
      path: '/unload_lora_adapter',
      body: { lora_name: name },
      timeoutMs: UNLOAD_TIMEOUT_MS,
    },
    read: (result) => readOutcome(result, /not (?:found|loaded)|does not exist/i),
  }),
}

const MESSAGE_CHARS = 500

function readOutcome(result: HttpResult, alreadySo: RegExp): AdapterResult {
  if (result.kind !== 'answer') {
    const why = { refused: 'refused the connection', timeout: 'did not answer in time', reset: 'hung up' }
    return { kind: 'failed', message: `the engine ${why[result.kind]}` }
  }
  const answer = parseJson(result.body)
  const refused = isObject(answer) && answer.success === false
  const message = errorText(answer) ?? result.body.trim()
  if (isSuccess(result.status) && !refused) return { kind: 'ok' }
  if (alreadySo.test(message)) return { kind: 'ok' }
  if (result.status === 404 && isObject(answer) && answer.detail === 'Not Found') {
    return {
      kind: 'failed',
      message:
        'the engine was not started to change adapters while it runs; restart the replica with the adapter',
    }
  }
  return {
    kind: 'failed',
    message: `the engine answered ${result.status}: ${message.slice(0, MESSAGE_CHARS) || 'no reason given'}`,
  }
}

/** `{error: {message}}` (vLLM), `{message}` (older vLLM), `{error_message}` (SGLang), `{error}` as text, `{detail}`. */
function errorText(answer: unknown): string | undefined {
  if (!isObject(answer)) return undefined
  const { error, message, error_message: sglangMessage, detail } = answer
  const nested = isObject(error) ? error.message : error
  return [nested, message, sglangMessage, detail].find((text) => typeof text === 'string' && text !== '') as
    | string
    | undefined
}
