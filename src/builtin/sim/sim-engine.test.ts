import { describe, expect, it } from 'vitest'
import { aSim, events, user } from './sim-world.testing.ts'

describe('chat completions', () => {
  it('stream a role chunk, one chunk a token, the usage asked for, and [DONE]', async () => {
    const { chat, text } = aSim()
    const all = events(
      await text(
        chat({ stream: true, max_tokens: 3, ignore_eos: true, stream_options: { include_usage: true } }),
      ),
    )
    expect(all).toHaveLength(6)
    const [role, first, , last, usage, done] = all
    expect(role.choices).toEqual([
      { index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
    ])
    expect(role).toMatchObject({ object: 'chat.completion.chunk', model: 'demo' })
    expect(first.choices[0]).toMatchObject({ finish_reason: null, delta: { content: expect.any(String) } })
    expect(first.choices[0]).not.toHaveProperty('stop_reason')
    expect(last.choices[0]).toMatchObject({ finish_reason: 'length', stop_reason: null })
    expect(usage).toMatchObject({
      choices: [],
      usage: { completion_tokens: 3, prompt_tokens_details: { cached_tokens: 0 } },
    })
    expect(usage.usage.total_tokens).toBe(usage.usage.prompt_tokens + 3)
    expect(done).toBe('[DONE]')
    expect(new Set(all.slice(0, 5).map((event) => event.id)).size).toBe(1)
    expect(all.slice(0, 4).every((event) => !('usage' in event))).toBe(true)
  })

  it('say the same whole as streamed, and the same for the same seed only', async () => {
    const { chat, json, text } = aSim()
    const whole = await json(chat())
    const streamed = events(await text(chat({ stream: true })))
    const content = streamed.map((event) => event.choices?.[0]?.delta.content ?? '').join('')
    expect(whole.body.choices[0]).toMatchObject({
      message: { role: 'assistant', content },
      finish_reason: 'stop',
    })
    expect(content.split(' ').length).toBeGreaterThan(5)
    const seeded = await json(chat({ seed: 7 }))
    expect(seeded.body.choices[0].message.content).not.toBe(content)
    expect((await json(chat({ seed: 7 }))).body.choices[0].message.content).toBe(
      seeded.body.choices[0].message.content,
    )
  })

  it('take the time of their steps: prefill first, then a step a token', async () => {
    const { chat, clock, engine } = aSim()
    const response = engine.fetch(new Request('http://sim/health'))
    await clock.advance(0)
    expect((await response).status).toBe(200)
    const started = clock.monotonicMs()
    let finishedAtMs = 0
    void chat({ max_tokens: 5, ignore_eos: true })
      .then((answer) => answer.json())
      .then(() => {
        finishedAtMs = clock.monotonicMs()
      })
    for (let ms = 0; ms < 60; ms++) await clock.advance(1)
    expect(finishedAtMs - started).toBe(50)
  })

  it('end at a stop string without it, and say which', async () => {
    const { chat, json } = aSim({ mode: 'echo' })
    const ask = { messages: [user('one two three four')], stop: [' three'] }
    const { body } = await json(chat(ask))
    expect(body.choices[0]).toMatchObject({
      message: { content: 'one two' },
      finish_reason: 'stop',
      stop_reason: ' three',
    })
  })

  it('interleave n choices, each with its role chunk and its end', async () => {
    const { chat, text } = aSim()
    const all = events(await text(chat({ stream: true, n: 3, max_tokens: 4, ignore_eos: true })))
    expect(all.slice(0, 3).map((event) => event.choices[0].index)).toEqual([0, 1, 2])
    expect(all.slice(0, 3).every((event) => event.choices[0].delta.role === 'assistant')).toBe(true)
    const ends = all.filter((event) => event.choices?.[0]?.finish_reason)
    expect(ends.map((event) => event.choices[0].index).sort()).toEqual([0, 1, 2])
    expect(all.at(-1)).toBe('[DONE]')
  })

  it('find the earlier turns of a conversation in the cache, the answer among them', async () => {
    const { chat, json } = aSim()
    const question = user('where did the old machine stand '.repeat(20))
    const first = await json(chat({ messages: [question], max_tokens: 64, ignore_eos: true }))
    const { content } = first.body.choices[0].message
    const second = await json(
      chat({ messages: [question, { role: 'assistant', content }, user('and then?')], max_tokens: 1 }),
    )
    const { prompt_tokens, total_tokens } = first.body.usage
    const cached = second.body.usage.prompt_tokens_details.cached_tokens
    expect(cached).toBeGreaterThan(prompt_tokens)
    expect(cached).toBeLessThanOrEqual(total_tokens)
  })

  it('put a client request id into the id of the answer', async () => {
    const { post, json } = aSim()
    const { body } = await json(
      post(
        '/v1/chat/completions',
        { messages: [user('hi')], max_tokens: 1 },
        { headers: { 'x-request-id': 'abc' } },
      ),
    )
    expect(body.id).toBe('chatcmpl-abc')
  })

  it('refuse what vLLM refuses, in its words', async () => {
    const { chat, post, json } = aSim({ maxModelLen: 128 })
    expect(await json(chat({ model: 'other' }))).toMatchObject({
      status: 404,
      body: {
        error: {
          message: 'The model `other` does not exist.',
          type: 'NotFoundError',
          param: 'model',
          code: 404,
        },
      },
    })
    const long = await json(chat({ messages: [user('river '.repeat(200))] }))
    expect(long).toMatchObject({ status: 400, body: { error: { type: 'BadRequestError', code: 400 } } })
    expect(long.body.error.message).toContain("This model's maximum context length is 128 tokens.")
    expect((await json(chat({ max_tokens: 127 }))).status).toBe(400)
    expect(await json(post('/v1/chat/completions', '{nope'))).toMatchObject({
      status: 400,
      body: { error: { type: 'Bad Request', code: 400 } },
    })
    expect((await json(post('/v1/chat/completions', { model: 'demo' }))).status).toBe(400)
    expect((await json(chat({ max_tokens: 0 }))).status).toBe(400)
    expect((await json(chat({ temperature: 0.3, top_k: 5, unknown_field: {}, max_tokens: 1 }))).status).toBe(
      200,
    )
  })

  it('are refused with 503 when the queue is full', async () => {
    const { chat, json, run, metric } = aSim({ maxNumQueuedReqs: 1 })
    const first = chat({ max_tokens: 100, ignore_eos: true })
    expect(await json(chat())).toMatchObject({ status: 503 })
    expect((await run(first)).status).toBe(200)
    expect(
      await metric(
        'vllm:admission_rejections_total{engine="0",model_name="demo",reason="max_num_queued_reqs"}',
      ),
    ).toBe(1)
  })
})

describe('completions', () => {
  it('answer a list of prompts, n each, in one body', async () => {
    const { post, json } = aSim({ mode: 'echo' })
    const { body } = await json(
      post('/v1/completions', { model: 'demo', prompt: ['one two', 'three four'], n: 2, max_tokens: 2 }),
    )
    expect(body.object).toBe('text_completion')
    expect(
      body.choices.map((choice: { index: number; text: string }) => [choice.index, choice.text]),
    ).toEqual([
      [0, 'one two'],
      [1, 'one two'],
      [2, 'three four'],
      [3, 'three four'],
    ])
    expect(body.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 8 })
  })

  it('stream text, and the prompt first when echoed', async () => {
    const { post, text } = aSim({ mode: 'echo' })
    const all = events(
      await text(post('/v1/completions', { prompt: 'one two', echo: true, stream: true, max_tokens: 1 })),
    )
    expect(all[0].choices[0]).toMatchObject({ text: 'one twoone', finish_reason: 'length' })
    expect(all[1]).toBe('[DONE]')
  })

  it('take token ids and return them when asked', async () => {
    const { post, json } = aSim({ mode: 'echo' })
    const { tokens } = (await json(post('/tokenize', { prompt: 'one two' }))).body
    const { body } = await json(
      post('/v1/completions', { prompt: tokens, max_tokens: 2, return_token_ids: true }),
    )
    expect(body.choices[0]).toMatchObject({ text: 'one two', token_ids: tokens })
  })
})

describe('a client that leaves', () => {
  const phases = [
    { phase: 'while it waits', options: { maxNumSeqs: 1 }, afterMs: 15, others: 1 },
    { phase: 'during prefill', options: { maxNumBatchedTokens: 300 }, afterMs: 5, others: 0 },
    { phase: 'between tokens', options: {}, afterMs: 45, others: 0 },
  ]
  for (const stream of [true, false])
    for (const { phase, options, afterMs, others } of phases)
      it(`frees its place ${phase} (${stream ? 'stream' : 'whole'})`, async () => {
        const { chat, clock, engine } = aSim(options)
        const background = Array.from({ length: others }, () => chat({ max_tokens: 50, ignore_eos: true }))
        await clock.advance(0)
        const before = engine.stats()
        const leaving = new AbortController()
        const answer = engine
          .fetch(
            new Request('http://sim/v1/chat/completions', {
              method: 'POST',
              body: JSON.stringify({
                messages: [user('river '.repeat(400))],
                stream,
                max_tokens: 500,
                ignore_eos: true,
              }),
              signal: leaving.signal,
            }),
          )
          .then((response) => response.text())
        answer.catch(() => {})
        await clock.advance(afterMs)
        expect(engine.stats().running + engine.stats().waiting).toBe(others + 1)
        leaving.abort()
        await clock.advance(0)
        const { running, waiting, kvUsage } = engine.stats()
        expect(running + waiting).toBe(others)
        if (others === 0) expect(kvUsage).toBe(before.kvUsage)
        await expect(answer).rejects.toThrow(/abort/i)
        await clock.advance(2000)
        await Promise.all(background)
      })

  it('counts as aborted', async () => {
    const { chat, clock, metric, run } = aSim()
    const response = await run(chat({ stream: true, max_tokens: 500, ignore_eos: true }))
    await response.body!.cancel()
    await clock.advance(0)
    expect(
      await metric('vllm:request_success_total{engine="0",finished_reason="abort",model_name="demo"}'),
    ).toBe(1)
  })
})

describe('adapters', () => {
  const lora = { enableLora: true, runtimeLora: true }

  it("load, answer under their name, and unload, with vLLM's replies", async () => {
    const { post, get, chat, json, text } = aSim(lora)
    const load = () => post('/v1/load_lora_adapter', { lora_name: 'sql', lora_path: 'org/sql-lora' })
    expect(await text(load())).toBe("Success: LoRA adapter 'sql' added successfully.")
    expect(await json(load())).toMatchObject({ status: 400, body: { error: { type: 'InvalidUserInput' } } })
    const { data } = (await json(get('/v1/models'))).body
    expect(data[1]).toMatchObject({ id: 'sql', parent: 'demo', root: 'org/sql-lora' })
    const answer = await json(chat({ model: 'sql', max_tokens: 8 }))
    expect(answer.body.model).toBe('sql')
    const base = await json(chat({ max_tokens: 8 }))
    expect(base.body.choices[0].message.content).not.toBe(answer.body.choices[0].message.content)
    const unload = () => post('/v1/unload_lora_adapter', { lora_name: 'sql' })
    expect(await text(unload())).toBe("Success: LoRA adapter 'sql' removed successfully.")
    expect(await json(unload())).toMatchObject({
      status: 404,
      body: { error: { message: "The lora adapter 'sql' cannot be found." } },
    })
    expect((await json(chat({ model: 'sql' }))).status).toBe(404)
  })

  it('cannot be changed at run time without the environment variable', async () => {
    const { post, json } = aSim({ enableLora: true })
    expect(await json(post('/v1/load_lora_adapter', { lora_name: 'a', lora_path: 'b' }))).toEqual({
      status: 404,
      body: { detail: 'Not Found' },
    })
  })

  it('are refused when their path cannot be loaded or LoRA is off', async () => {
    const body = { lora_name: 'a', lora_path: '/none' }
    const missing = aSim(lora, { adapterExists: () => Promise.resolve(false) })
    expect(await missing.json(missing.post('/v1/load_lora_adapter', body))).toMatchObject({
      status: 404,
      body: { error: { message: 'Loading lora a failed: No adapter found for /none' } },
    })
    const off = aSim({ runtimeLora: true })
    expect((await off.json(off.post('/v1/load_lora_adapter', body))).status).toBe(500)
    expect((await off.json(off.post('/v1/load_lora_adapter', { lora_name: 'a' }))).status).toBe(400)
  })

  it('share the batch up to max_loras; the rest waits and shows as deferred', async () => {
    const sim = aSim({
      ...lora,
      loraModules: [
        { name: 'a', path: 'a' },
        { name: 'b', path: 'b' },
      ],
    })
    const both = ['a', 'b'].map((model) => sim.chat({ model, max_tokens: 30, ignore_eos: true }))
    await sim.clock.advance(5)
    const page = await (await sim.get('/metrics')).text()
    expect(page).toContain(
      'vllm:num_requests_waiting_by_reason{engine="0",model_name="demo",reason="deferred"} 1.0',
    )
    expect(page).toMatch(
      /vllm:lora_requests_info\{max_lora="1",running_lora_adapters="a",waiting_lora_adapters="b"\} 1\.7\d*e\+09/,
    )
    await sim.run(Promise.all(both))
  })
})

describe('pooling', () => {
  it('embeds the same text the same, as numbers or base64, as a unit vector', async () => {
    const { post, json } = aSim()
    const input = ['the river', 'the river', 'a desert station']
    const plain = (await json(post('/v1/embeddings', { model: 'demo', input }))).body
    const coded = (await json(post('/v1/embeddings', { input, encoding_format: 'base64' }))).body
    const [first, second, third] = plain.data.map((item: { embedding: number[] }) => item.embedding)
    expect(first).toHaveLength(384)
    expect(second).toEqual(first)
    expect(third).not.toEqual(first)
    expect(Math.hypot(...first)).toBeCloseTo(1, 5)
    const bytes = Buffer.from(coded.data[0].embedding, 'base64')
    expect([...new Float32Array(bytes.buffer, bytes.byteOffset, 384)]).toEqual(first)
    expect(plain.usage.total_tokens).toBe(plain.usage.prompt_tokens)
    const small = (await json(post('/v1/embeddings', { input: 'x', dimensions: 16 }))).body
    expect(small.data[0].embedding).toHaveLength(16)
  })

  it('ranks what shares words first and cuts at top_n, on all three paths', async () => {
    const { post, json } = aSim()
    const ask = {
      query: 'old stone bridge',
      documents: ['cotton market', 'the old stone bridge', { text: 'stone' }],
      top_n: 2,
    }
    for (const path of ['/v1/rerank', '/v2/rerank', '/rerank']) {
      const { status, body } = await json(post(path, ask))
      expect(status).toBe(200)
      expect(body.results.map((result: { index: number }) => result.index)).toEqual([1, 2])
      expect(body.results[0].document.text).toBe('the old stone bridge')
      expect(body.results[0].relevance_score).toBeGreaterThan(0.9)
    }
  })

  it('scores one against many and refuses lengths that do not match', async () => {
    const { post, json } = aSim()
    const { body } = await json(post('/score', { text_1: 'green tree', text_2: ['green tree', 'iron'] }))
    expect(body.data.map((item: { score: number }) => item.score > 0.5)).toEqual([true, false])
    expect((await json(post('/v1/score', { text_1: ['a', 'b'], text_2: ['c'] }))).status).toBe(400)
  })

  it('goes through the engine: it waits, takes time and is aborted when the client leaves', async () => {
    const { post, clock, engine } = aSim()
    const leaving = new AbortController()
    const answer = post('/v1/embeddings', { input: ['one', 'two'] }, { signal: leaving.signal })
    answer.catch(() => {})
    await clock.advance(5)
    expect(engine.stats().running).toBe(2)
    leaving.abort()
    await clock.advance(0)
    expect(engine.stats().running).toBe(0)
    await expect(answer).rejects.toThrow()
  })

  it('exists on pooling engines only when a runner is chosen', async () => {
    const generate = aSim({ runner: 'generate' })
    expect((await generate.json(generate.post('/v1/embeddings', { input: 'x' }))).status).toBe(404)
    const pooling = aSim({ runner: 'pooling' })
    expect((await pooling.json(pooling.chat())).status).toBe(404)
  })
})

describe('the rest of the surface', () => {
  it('tokenizes and gives the text back', async () => {
    const { post, json } = aSim()
    const { body } = await json(post('/tokenize', { prompt: 'Größe 42, ok?', return_token_strs: true }))
    expect(body).toMatchObject({ count: body.tokens.length, max_model_len: 2048 })
    expect(body.token_strs).toHaveLength(body.count)
    expect((await json(post('/detokenize', { tokens: body.tokens }))).body).toEqual({
      prompt: 'Größe 42, ok?',
    })
    expect((await json(post('/tokenize', { messages: [user('hi')] }))).body.count).toBeGreaterThan(1)
  })

  it('says it is healthy with an empty body, and which version it follows', async () => {
    const { get, text, json } = aSim()
    expect(await text(get('/health'))).toBe('')
    expect(await text(get('/ping'))).toBe('')
    expect((await json(get('/version'))).body.version).toMatch(/^\d+\.\d+\.\d+\+sim$/)
  })

  it('tells its load only when told to track it', async () => {
    for (const [serverLoadTracking, load] of [
      [true, 1],
      [false, 0],
    ] as const) {
      const { chat, get, clock, run } = aSim({ serverLoadTracking })
      const answer = chat({ max_tokens: 20, ignore_eos: true })
      await clock.advance(5)
      expect(await (await get('/load')).json()).toEqual({ server_load: load })
      await run(answer)
    }
  })

  it('lists every served name and answers under the first', async () => {
    const { get, chat, json } = aSim({ servedModelNames: ['a', 'b'] })
    const { data } = (await json(get('/v1/models'))).body
    expect(
      data.map((card: { id: string; root: string; max_model_len: number }) => [
        card.id,
        card.root,
        card.max_model_len,
      ]),
    ).toEqual([
      ['a', 'demo', 2048],
      ['b', 'demo', 2048],
    ])
    expect((await json(chat({ model: 'b', max_tokens: 1 }))).body.model).toBe('a')
  })

  it('asks for the key on the paths vLLM guards and on /admin, and nowhere else', async () => {
    const { get, post, json, run } = aSim({ apiKeys: ['k1', 'k2'] })
    expect(await json(get('/v1/models'))).toEqual({ status: 401, body: { error: 'Unauthorized' } })
    expect((await run(get('/v1/models', { authorization: 'Bearer k2' }))).status).toBe(200)
    expect((await run(get('/v1/models', { authorization: 'Bearer k' }))).status).toBe(401)
    expect((await run(get('/v1/models', { authorization: 'Basic k1' }))).status).toBe(401)
    expect((await run(get('/admin/fault'))).status).toBe(401)
    for (const path of ['/health', '/metrics', '/version']) expect((await run(get(path))).status).toBe(200)
    expect((await run(post('/tokenize', { prompt: 'x' }))).status).toBe(200)
  })

  it('knows an unknown path from a wrong method', async () => {
    const { get, json } = aSim()
    expect(await json(get('/v1/unknown'))).toEqual({ status: 404, body: { detail: 'Not Found' } })
    expect((await json(get('/v1/chat/completions'))).status).toBe(405)
  })

  it('echoes request ids in headers only with the flag', async () => {
    const on = aSim({ requestIdHeaders: true })
    const headers = { 'x-request-id': 'r1' }
    const ask = { messages: [user('hi')], max_tokens: 1 }
    expect(
      (await on.run(on.post('/v1/chat/completions', ask, { headers }))).headers.get('x-request-id'),
    ).toBe('r1')
    const off = aSim()
    expect(
      (await off.run(off.post('/v1/chat/completions', ask, { headers }))).headers.has('x-request-id'),
    ).toBe(false)
  })
})

describe('a bug in one request', () => {
  it('is a 500 for that request and nothing to the others', async () => {
    let broken = true
    const { chat, json } = aSim(
      {},
      {
        requestId: () => {
          if (broken) throw new Error('boom')
          return 'id'
        },
      },
    )
    expect(await json(chat())).toMatchObject({
      status: 500,
      body: { error: { type: 'InternalServerError' } },
    })
    broken = false
    expect((await json(chat({ max_tokens: 1 }))).status).toBe(200)
  })
})

describe('shutting down', () => {
  it('aborts at once with a timeout of zero: finish_reason abort on HTTP 200', async () => {
    const { chat, engine, clock, run } = aSim()
    const streaming = run(chat({ stream: true, max_tokens: 500, ignore_eos: true }))
    const response = await streaming
    await clock.advance(30)
    const stopped = engine.stop()
    const all = events(await run(response.text()))
    await run(stopped)
    expect(all.at(-2).choices[0].finish_reason).toBe('abort')
    expect(all.at(-1)).toBe('[DONE]')
    await expect(engine.fetch(new Request('http://sim/health'))).rejects.toThrow('fetch failed')
  })

  it('lets what runs finish within the timeout and takes nothing new', async () => {
    const { chat, engine, clock, json, run } = aSim({ shutdownTimeoutMs: 5000 })
    const running = chat({ max_tokens: 30, ignore_eos: true })
    await clock.advance(15)
    const stopped = engine.stop()
    expect((await json(chat())).status).toBe(503)
    const { body } = await json(running)
    expect(body.choices[0].finish_reason).toBe('length')
    await run(stopped)
  })

  it('aborts what is not done when the timeout is over', async () => {
    const { chat, engine, clock, json, run } = aSim({ shutdownTimeoutMs: 100 })
    const running = chat({ max_tokens: 1000, ignore_eos: true })
    await clock.advance(15)
    const stopped = engine.stop()
    const { body } = await json(running)
    expect(body.choices[0].finish_reason).toBe('abort')
    await run(stopped)
  })
})
