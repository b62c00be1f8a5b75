import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ChatBody,
  events,
  LONG_ANSWER,
  ModelDir,
  TestEngine,
  testOptions,
  until,
  user,
} from './engine.testing.ts'

const files = new ModelDir()
let engine: TestEngine

beforeAll(async () => {
  const adapters = [{ name: 'tiny-lora', path: files.write('tiny-lora') }]
  engine = await TestEngine.start(testOptions(files.write('tiny'), { adapters }))
})

afterAll(async () => {
  await engine.close()
  files.remove()
})

describe('a chat', () => {
  it('is answered in OpenAI’s shape, with exact usage', async () => {
    const response = await engine.chat({ temperature: 0 })
    expect(response.status).toBe(200)
    expect(response.headers.get('x-request-id')).toMatch(/^req-/)
    const body = (await response.json()) as ChatBody
    expect(body).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'tiny',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'I am a tiny model with random weights, and the queue.',
            refusal: null,
          },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      // <s> <|user|> h e l l o <|end|> <|assistant|>, and 13 pieces with the end token.
      usage: {
        prompt_tokens: 9,
        completion_tokens: 14,
        total_tokens: 23,
        prompt_tokens_details: { cached_tokens: expect.any(Number) },
      },
    })
  })

  it('is streamed as a role, pieces of text, a finish and [DONE]', async () => {
    const whole = await engine.say({ temperature: 0 })
    const response = await engine.chat({ temperature: 0, stream: true })
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const chunks = (await events(response)) as { choices: { delta: { content?: string } }[] }[]
    expect(chunks.at(-1)).toBe('[DONE]')
    const base = {
      id: expect.any(String),
      object: 'chat.completion.chunk',
      created: expect.any(Number),
      model: 'tiny',
    }
    expect(chunks[0]).toEqual({
      ...base,
      choices: [{ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }],
    })
    expect(chunks.at(-2)).toEqual({
      ...base,
      choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }],
    })
    const text = chunks.slice(1, -2).map((chunk) => chunk.choices[0]?.delta.content)
    expect(text.length).toBeGreaterThan(5)
    expect(text.join('')).toBe(whole)
  })

  it('streams usage when asked to, on a chunk of its own', async () => {
    const response = await engine.chat({
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = (await events(response)) as { choices: unknown[]; usage: unknown }[]
    expect(chunks.at(-2)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 9, completion_tokens: 14, total_tokens: 23 },
    })
    expect(chunks.slice(0, -2).every((chunk) => chunk.usage === null && chunk.choices.length === 1)).toBe(
      true,
    )
  })

  it('repeats with the same seed and differs with another', async () => {
    const answer = (seed: number) => engine.say({ seed, max_tokens: 40, ignore_eos: true, temperature: 1.2 })
    const first = await answer(7)
    await engine.say({ messages: [user('something else in between')] })
    expect(await answer(7)).toBe(first)
    expect(await answer(8)).not.toBe(first)
  })

  it('stops at a stop string, which is never shown, also when streamed', async () => {
    const fields = { temperature: 0, stop: ['random wei', 'never'] }
    expect(await engine.say(fields)).toBe('I am a tiny model with ')
    const chunks = (await events(await engine.chat({ ...fields, stream: true }))) as {
      choices: { delta: { content?: string }; finish_reason: string | null }[]
    }[]
    expect(chunks.map((chunk) => chunk.choices?.[0]?.delta.content ?? '').join('')).toBe(
      'I am a tiny model with ',
    )
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop')
  })

  it('ends at max_tokens with finish_reason length', async () => {
    for (const field of ['max_tokens', 'max_completion_tokens']) {
      const response = await engine.chat({ temperature: 0, [field]: 3 })
      expect(await response.json()).toMatchObject({
        choices: [{ message: { content: 'I am a' }, finish_reason: 'length' }],
        usage: { completion_tokens: 3 },
      })
    }
  })

  it('may ask for several choices', async () => {
    const body = (await (await engine.chat({ n: 3, seed: 1, max_tokens: 20 })).json()) as ChatBody
    expect(body.choices.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(new Set(body.choices.map(({ message }) => message.content)).size).toBeGreaterThan(1)
    expect(body.usage.prompt_tokens).toBe(9)
    const response = await engine.chat({ n: 2, stream: true, max_tokens: 5, ignore_eos: true })
    const chunks = (await events(response)) as {
      choices: { index: number; finish_reason: string | null }[]
    }[]
    for (const index of [0, 1]) {
      const ends = chunks
        .filter(({ choices }) => choices?.[0]?.index === index)
        .map(({ choices }) => choices[0])
      expect(ends.at(-1)?.finish_reason).toBe('length')
    }
    expect(chunks.at(-1)).toBe('[DONE]')
  })

  it('is punished for repeating itself when asked to be', async () => {
    const fields = { temperature: 0, max_tokens: 60, ignore_eos: true }
    const distinct = async (penalty: number) =>
      new Set((await engine.say({ ...fields, frequency_penalty: penalty })).split(' ')).size
    expect(await distinct(2)).toBeGreaterThan(await distinct(0))
  })

  it('computes only what an earlier chat did not', async () => {
    const messages = [user('A long question about the yard. '.repeat(4))]
    const first = (await (await engine.chat({ messages, temperature: 0 })).json()) as ChatBody
    const again = (await (await engine.chat({ messages, temperature: 0 })).json()) as ChatBody
    expect(again.usage.prompt_tokens_details.cached_tokens).toBe(first.usage.prompt_tokens - 1)
    expect(again.choices).toEqual(first.choices)
  })

  it('takes text parts, a developer and earlier answers', async () => {
    const messages = [
      { role: 'developer', content: 'be brief' },
      { role: 'user', content: [{ type: 'text', text: 'hello' }] },
      { role: 'assistant', content: 'I am a tiny model.' },
      user('and now?'),
    ]
    expect(await engine.say({ messages, temperature: 0 })).toMatch(/^[A-Z]/)
  })
})

describe('requests at the same time', () => {
  it('are all answered, more than there are sequences, as if alone', async () => {
    const alone = await engine.say({ temperature: 0, max_tokens: 30 })
    const answers = await Promise.all([1, 2, 3, 4].map(() => engine.say({ temperature: 0, max_tokens: 30 })))
    expect(answers).toEqual([alone, alone, alone, alone])
  })

  it('are refused with 503 and Retry-After when all sequences are busy and the queue is full', async () => {
    const fields = { ignore_eos: true, max_tokens: 1000 }
    const responses = await Promise.all([1, 2, 3, 4, 5, 6].map(() => engine.chat(fields)))
    const refused = responses.filter(({ status }) => status === 503)
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(4)
    expect(refused.map(({ headers }) => headers.get('retry-after'))).toEqual(['1', '1'])
    expect(await refused[0]?.json()).toMatchObject({ error: { type: 'server_error', code: 'overloaded' } })
  })
})

describe('a client that leaves', () => {
  it('in the middle of a stream frees its sequence at once', async () => {
    const before = await engine.metric('generation_tokens_total')
    const leave = new AbortController()
    const response = await engine.chat({ ...LONG_ANSWER, stream: true }, leave.signal)
    expect(await engine.metric('requests_running')).toBe(1)
    expect(await engine.metric('kv_cache_usage_ratio')).toBeGreaterThan(0)
    leave.abort()
    await expect(response.text()).rejects.toThrow()
    await until(async () => expect(await engine.metric('requests_running')).toBe(0))
    expect((await engine.metric('generation_tokens_total')) - before).toBeLessThan(2000)
    expect(engine.lines.findLast(({ event }) => event === 'request')).toMatchObject({
      status: 499,
      outcome: 'aborted',
    })
  })

  it('before its answer is written ends the writing', async () => {
    const before = await engine.metric('generation_tokens_total')
    const leave = new AbortController()
    const answer = engine.chat(LONG_ANSWER, leave.signal).catch(() => 'left')
    await until(async () => expect(await engine.metric('requests_running')).toBe(1))
    leave.abort()
    expect(await answer).toBe('left')
    await until(async () => expect(await engine.metric('requests_running')).toBe(0))
    expect((await engine.metric('generation_tokens_total')) - before).toBeLessThan(2000)
  })

  it('while it waits leaves the queue', async () => {
    const held = [1, 2].map(() => engine.chat(LONG_ANSWER))
    await until(async () => expect(await engine.metric('requests_running')).toBe(2))
    const leave = new AbortController()
    const waits = engine.chat(LONG_ANSWER, leave.signal).catch(() => 'left')
    await until(async () => expect(await engine.metric('requests_waiting')).toBe(1))
    leave.abort()
    expect(await waits).toBe('left')
    await until(async () => expect(await engine.metric('requests_waiting')).toBe(0))
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200])
    expect(await engine.metric('requests_running')).toBe(0)
  })
})

describe('plain completions', () => {
  it('are answered and streamed in their own shape', async () => {
    const fields = { model: 'alias', prompt: 'The yard', temperature: 0, max_tokens: 4 }
    const body = await (await engine.post('/v1/completions', fields)).json()
    expect(body).toEqual({
      id: expect.stringMatching(/^cmpl-/),
      object: 'text_completion',
      created: expect.any(Number),
      model: 'alias',
      choices: [{ index: 0, text: expect.any(String), logprobs: null, finish_reason: 'length' }],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 4,
        total_tokens: 7,
        prompt_tokens_details: { cached_tokens: expect.any(Number) },
      },
    })
    const text = (body as { choices: { text: string }[] }).choices[0]?.text
    const chunks = (await events(await engine.post('/v1/completions', { ...fields, stream: true }))) as {
      choices: { text: string }[]
    }[]
    expect(
      chunks
        .slice(0, -1)
        .map((chunk) => chunk.choices[0]?.text)
        .join(''),
    ).toBe(text)
  })

  it('take a list of texts, tokens and lists of tokens', async () => {
    const complete = async (prompt: unknown) => {
      const response = await engine.post('/v1/completions', {
        model: 'tiny',
        prompt,
        temperature: 0,
        max_tokens: 4,
      })
      return ((await response.json()) as { choices: { text: string }[] }).choices.map(({ text }) => text)
    }
    const tokens = (
      (await (await engine.post('/tokenize', { prompt: 'The yard' })).json()) as { tokens: number[] }
    ).tokens
    const [one] = await complete('The yard')
    expect(await complete(['The yard', 'No train'])).toHaveLength(2)
    expect(await complete(tokens)).toEqual([one])
    expect(await complete([tokens, tokens])).toEqual([one, one])
  })

  it('fill the context to its last token and no further', async () => {
    const tokens = new Array<number>(2036).fill(300)
    const fields = { model: 'tiny', prompt: tokens, ignore_eos: true }
    const full = await engine.post('/v1/completions', { ...fields, max_tokens: 12 })
    expect(await full.json()).toMatchObject({ usage: { prompt_tokens: 2036, completion_tokens: 12 } })
    const over = await engine.post('/v1/completions', { ...fields, max_tokens: 13 })
    expect(over.status).toBe(400)
    expect(await over.json()).toMatchObject({ error: { code: 'context_length_exceeded', param: 'prompt' } })
  })
})

describe('an adapter', () => {
  it('answers under its own name, and differently', async () => {
    const base = await engine.say({ temperature: 0 })
    const adapted = await engine.say({ model: 'tiny-lora', temperature: 0 })
    expect(adapted).toMatch(/^Adapter here: /)
    expect(base).not.toContain('Adapter')
  })

  it('is loaded and unloaded while the engine runs', async () => {
    const path = files.write('tiny-lora', undefined, 'second')
    const change = (what: string, body: object) => engine.post(`/v1/${what}_lora_adapter`, body)
    expect((await engine.chat({ model: 'second' })).status).toBe(404)
    const loaded = await change('load', { lora_name: 'second', lora_path: path })
    expect([loaded.status, await loaded.text()]).toEqual([
      200,
      "Success: LoRA adapter 'second' added successfully.",
    ])
    expect(await engine.say({ model: 'second', temperature: 0 })).toMatch(/^Adapter here: /)
    expect(await (await change('load', { lora_name: 'second', lora_path: path })).json()).toMatchObject({
      error: { code: 'adapter_already_loaded' },
    })
    expect(await (await change('load', { lora_name: 'third', lora_path: path })).json()).toMatchObject({
      error: { code: 'too_many_adapters' },
    })
    expect((await change('unload', { lora_name: 'second' })).status).toBe(200)
    expect((await change('unload', { lora_name: 'second' })).status).toBe(404)
    expect((await engine.chat({ model: 'second' })).status).toBe(404)
  })

  it.each([
    ['a file that is missing', 404, 'adapter_file_missing', () => `${files.path}/none.gguf`],
    ['a file cut in half', 400, 'adapter_truncated', () => files.write('tiny-lora', half, 'cut')],
    ['a whole model', 400, 'adapter_unfit', () => files.write('tiny', undefined, 'model')],
    ['a path that is not absolute', 400, 'invalid_value', () => 'tiny-lora.gguf'],
    ['a file that changed since', 400, 'adapter_changed', () => files.write('tiny-lora', longer, 'second')],
  ])('is refused when it is %s', async (_, status, code, path) => {
    await until(async () => expect(await engine.metric('sequences')).toBe(4))
    const response = await engine.post('/v1/load_lora_adapter', { lora_name: 'bad', lora_path: path() })
    expect([response.status, await response.json()]).toMatchObject([status, { error: { code } }])
  })
})

describe('a request that is wrong', () => {
  it.each([
    ['malformed JSON', 400, 'invalid_json', '{"model": '],
    ['JSON that is no object', 400, 'invalid_json', '[]'],
    ['no model', 400, 'invalid_value', { model: undefined }],
    ['an unknown model', 404, 'model_not_found', { model: 'gpt' }],
    ['no messages', 400, 'invalid_value', { messages: undefined }],
    ['an image', 400, 'invalid_value', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }],
    ['too many stop strings', 400, 'invalid_value', { stop: ['a', 'b', 'c', 'd', 'e'] }],
    ['an empty stop string', 400, 'invalid_value', { stop: '' }],
    ['a temperature of 3', 400, 'invalid_value', { temperature: 3 }],
    ['no room for an answer', 400, 'context_length_exceeded', { messages: [user('x'.repeat(2100))] }],
    ['too long an answer', 400, 'context_length_exceeded', { max_tokens: 10_000 }],
    ['log probabilities', 400, 'unsupported_parameter', { logprobs: true }],
    ['a logit bias', 400, 'unsupported_parameter', { logit_bias: { 5: 1 } }],
    ['tools', 400, 'unsupported_parameter', { tools: [{ type: 'function' }] }],
    ['a JSON schema', 400, 'unsupported_parameter', { response_format: { type: 'json_schema' } }],
  ])('for %s is %i %s', async (_, status, code, body) => {
    const whole =
      typeof body === 'string' ? body : { model: 'tiny', messages: [user('hello')], ...(body as object) }
    const response = await engine.post('/v1/chat/completions', whole)
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({
      error: {
        message: expect.any(String),
        type: 'invalid_request_error',
        param: code === 'invalid_json' ? null : expect.any(String),
        code,
      },
    })
  })
})

function half(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, bytes.length / 2)
}

/** Still the same adapter, but not the same file. */
function longer(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from([...bytes, ...new Uint8Array(32)])
}
