import { describe, expect, test } from 'vitest'
import type { AdapterResult, EngineCall, HttpResult } from './engine.ts'
import { sglangLora, vllmLora } from './lora-calls.ts'

const answer = (status: number, body: unknown): HttpResult => ({
  kind: 'answer',
  status,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

test("vLLM's calls carry its fields", () => {
  expect(vllmLora.load({ name: 'fr', path: '/l/fr' }).call).toMatchObject({
    method: 'POST',
    path: '/v1/load_lora_adapter',
    body: { lora_name: 'fr', lora_path: '/l/fr' },
  })
  expect(vllmLora.unload('fr').call).toMatchObject({
    path: '/v1/unload_lora_adapter',
    body: { lora_name: 'fr' },
  })
})

test("SGLang's calls have no /v1", () => {
  expect(sglangLora.load({ name: 'fr', path: '/l/fr' }).call).toMatchObject({
    method: 'POST',
    path: '/load_lora_adapter',
    body: { lora_name: 'fr', lora_path: '/l/fr' },
  })
  expect(sglangLora.unload('fr').call).toMatchObject({
    path: '/unload_lora_adapter',
    body: { lora_name: 'fr' },
  })
})

const vllmError = (message: string, type: string, code: number) => ({
  error: { message, type, param: null, code },
})

describe('answers are read as what they mean', () => {
  const load = vllmLora.load({ name: 'fr', path: '/l/fr' })
  const unload = vllmLora.unload('fr')
  const cases: readonly [string, EngineCall<AdapterResult>, HttpResult, RegExp | 'ok'][] = [
    ['loaded', load, answer(200, "Success: LoRA adapter 'fr' added successfully."), 'ok'],
    [
      'loaded before',
      load,
      answer(
        400,
        vllmError(
          "The lora adapter 'fr' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.",
          'InvalidUserInput',
          400,
        ),
      ),
      'ok',
    ],
    [
      'loaded before, older vLLM',
      load,
      answer(400, { object: 'error', message: "The lora adapter 'fr' has already been loaded." }),
      'ok',
    ],
    [
      'no such files',
      load,
      answer(404, vllmError('/l/fr does not exist', 'NotFoundError', 404)),
      /answered 404: \/l\/fr does not exist/,
    ],
    [
      'rank too great',
      load,
      answer(500, vllmError('LoRA rank 64 is greater than max_lora_rank 16.', 'InternalServerError', 500)),
      /LoRA rank 64/,
    ],
    ['not started for it', load, answer(404, { detail: 'Not Found' }), /not started to change adapters/],
    ['unloaded', unload, answer(200, "Success: LoRA adapter 'fr' removed successfully."), 'ok'],
    [
      'unloaded before',
      unload,
      answer(404, vllmError("The lora adapter 'fr' cannot be found.", 'NotFoundError', 404)),
      'ok',
    ],
    ['key refused', unload, answer(401, { error: 'Unauthorized' }), /answered 401: Unauthorized/],
    ['nobody there', load, { kind: 'refused' }, /refused the connection/],
    ['too slow', load, { kind: 'timeout' }, /did not answer in time/],
    [
      'sglang loaded',
      sglangLora.load({ name: 'fr', path: '/l' }),
      answer(200, { success: true, loaded_adapters: { fr: '/l' } }),
      'ok',
    ],
    [
      'sglang refused',
      sglangLora.load({ name: 'fr', path: '/l' }),
      answer(400, {
        success: false,
        error_message: 'LoRA adapter fr could not be loaded: rank',
        loaded_adapters: {},
      }),
      /answered 400: LoRA adapter fr could not be loaded/,
    ],
    [
      'sglang says no with 200',
      sglangLora.load({ name: 'fr', path: '/l' }),
      answer(200, { success: false, error_message: 'no room' }),
      /no room/,
    ],
    [
      'sglang loaded before',
      sglangLora.load({ name: 'fr', path: '/l' }),
      answer(400, { success: false, error_message: 'LoRA adapter with name fr already exists.' }),
      'ok',
    ],
    [
      'sglang unloaded before',
      sglangLora.unload('fr'),
      answer(400, { success: false, error_message: 'Adapter fr is not loaded' }),
      'ok',
    ],
  ]
  for (const [name, call, result, expected] of cases) {
    test(name, () => {
      const outcome = call.read(result)
      if (expected === 'ok') expect(outcome).toEqual({ kind: 'ok' })
      else expect(outcome).toEqual({ kind: 'failed', message: expect.stringMatching(expected) })
    })
  }
})
