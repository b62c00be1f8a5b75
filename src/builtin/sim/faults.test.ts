import { describe, expect, it } from 'vitest'
import { aSim, events, readUntilBroken } from './sim-world.testing.ts'

const LONG = { stream: true, max_tokens: 10, ignore_eos: true }

async function withFault(fault: unknown) {
  const crashes: number[] = []
  const refusals: number[] = []
  const sim = aSim({}, { onCrash: (code) => crashes.push(code), onRefuse: (ms) => refusals.push(ms) })
  const set = await sim.json(sim.post('/admin/fault', fault))
  expect(set.status).toBe(200)
  return { ...sim, crashes, refusals, set: set.body }
}

/** Output chunks: those with text that is not the role chunk. */
function outputs(all: ReturnType<typeof events>) {
  return all.filter((event) => event.choices?.[0]?.delta?.content)
}

describe('/admin/fault', () => {
  it('adds, lists and clears; a count runs out', async () => {
    const { call, post, chat, json } = await withFault({ kind: 'status', status: 500, count: 2 })
    expect((await json(chat())).status).toBe(500)
    expect((await json(call('GET', '/admin/fault'))).body).toEqual({
      faults: [{ kind: 'status', status: 500, count: 1 }],
    })
    expect((await json(chat())).status).toBe(500)
    expect((await json(chat({ max_tokens: 1 }))).status).toBe(200)
    await json(post('/admin/fault', { faults: [{ kind: 'no_done' }, { kind: 'slow_drip' }] }))
    expect((await json(call('DELETE', '/admin/fault'))).body).toEqual({ faults: [] })
  })

  it('refuses what it does not know, and says what it does', async () => {
    const { post, json } = aSim()
    for (const [body, words] of [
      [{ kind: 'meteor' }, 'known: connect_refuse'],
      [{ kind: 'cut', after: 3 }, 'unknown field "after"'],
      [{ kind: 'status', status: 200 }, 'from 400 to 599'],
      [{ faults: 3 }, 'must be a list'],
      ['not json', 'want an object'],
    ] as const) {
      const { status, body: answer } = await json(post('/admin/fault', body))
      expect(status).toBe(400)
      expect(answer.error.message).toContain(words)
    }
  })

  it('acts with a probability, the same for the same seed', async () => {
    const pattern = async () => {
      const { chat, json } = await withFault({ kind: 'status', probability: 0.5 })
      const statuses: number[] = []
      for (let n = 0; n < 20; n++) statuses.push((await json(chat({ max_tokens: 1 }))).status)
      return statuses
    }
    const first = await pattern()
    expect(new Set(first)).toEqual(new Set([200, 503]))
    expect(await pattern()).toEqual(first)
  })
})

describe('a client sees', () => {
  it('an injected status, with retry-after', async () => {
    const { chat, run } = await withFault({ kind: 'status', status: 429, retryAfterS: 7 })
    const response = await run(chat())
    expect(response.status).toBe(429)
    expect(response.headers.get('retry-after')).toBe('7')
    expect(JSON.parse(await response.text()).error).toMatchObject({ type: 'RateLimitError', code: 429 })
  })

  it('refused connections for a while, and open ones break', async () => {
    const { chat, run, clock, post, refusals } = await withFault({ faults: [] })
    const open = await run(chat({ ...LONG, max_tokens: 500 }))
    const broken = readUntilBroken(open)
    await run(post('/admin/fault', { kind: 'connect_refuse', durationMs: 5000 }))
    expect((await broken).error).toBeDefined()
    expect(refusals).toEqual([5000])
    const error = await chat().catch((thrown) => thrown)
    expect(error).toMatchObject({ message: 'fetch failed', cause: { code: 'ECONNREFUSED' } })
    await clock.advance(5000)
    expect((await run(chat({ max_tokens: 1 }))).status).toBe(200)
  })

  it('headers and then nothing while the first token hangs, until it is released', async () => {
    const { chat, run, clock } = await withFault({ kind: 'ttft_hang', durationMs: 60_000 })
    const response = await run(chat(LONG))
    expect(response.status).toBe(200)
    const reader = response.body!.getReader()
    let first: number | undefined
    void reader.read().then(() => {
      first = clock.monotonicMs()
    })
    await clock.advance(59_000)
    expect(first).toBeUndefined()
    await clock.advance(2000)
    expect(first).toBeGreaterThanOrEqual(60_000)
  })

  it('headers and no body when a plain request hangs, until it leaves', async () => {
    const { post, run, clock, engine } = await withFault({ kind: 'ttft_hang' })
    const leaving = new AbortController()
    const ask = { messages: [{ role: 'user', content: 'x' }], max_tokens: 2 }
    const response = await run(post('/v1/chat/completions', ask, { signal: leaving.signal }))
    let body: string | undefined
    const read = response.text().then((text) => {
      body = text
    })
    read.catch(() => {})
    await clock.advance(100_000)
    expect(body).toBeUndefined()
    leaving.abort()
    await expect(read).rejects.toThrow()
    expect(clock.pending).toBe(0)
    expect(engine.stats().running).toBe(0)
  })

  it('a cut after exactly as many tokens as asked, and the engine is free', async () => {
    const { chat, run, engine } = await withFault({ kind: 'cut', afterTokens: 4 })
    const response = await run(chat(LONG))
    const { body, error } = await run(readUntilBroken(response))
    expect(outputs(events(body))).toHaveLength(4)
    expect(body).not.toContain('[DONE]')
    expect(error).toBeInstanceOf(TypeError)
    expect(engine.stats()).toMatchObject({ running: 0, kvUsage: 0 })
  })

  it('a cut before the first byte of a plain answer, or in the middle of its body', async () => {
    const early = await withFault({ kind: 'cut', afterTokens: 0 })
    await expect(early.run(early.chat({ max_tokens: 5 }))).rejects.toMatchObject({
      cause: { code: 'ECONNRESET' },
    })
    const late = await withFault({ kind: 'cut', afterTokens: 2 })
    const response = await late.run(late.chat({ max_tokens: 5, ignore_eos: true }))
    const { body, error } = await readUntilBroken(response)
    expect(body).toMatch(/^\{"id":"chatcmpl-/)
    expect(error).toBeDefined()
  })

  it('a stall after some tokens, and the rest when it is over', async () => {
    const { chat, run, clock } = await withFault({ kind: 'stall', afterTokens: 2, durationMs: 30_000 })
    const response = await run(chat(LONG))
    const reader = response.body!.getReader()
    const decoder = new TextDecoder()
    let body = ''
    let ended = false
    const pump = async () => {
      for (let read = await reader.read(); !read.done; read = await reader.read())
        body += decoder.decode(read.value)
      ended = true
    }
    void pump()
    await clock.advance(20_000)
    expect(outputs(events(body))).toHaveLength(2)
    expect(ended).toBe(false)
    await clock.advance(15_000)
    expect(outputs(events(body))).toHaveLength(10)
    expect(ended).toBe(true)
  })

  it('one event at a time in a slow drip', async () => {
    const { chat, run, clock } = await withFault({ kind: 'slow_drip', delayMs: 1000 })
    const response = await run(chat(LONG))
    const startMs = clock.monotonicMs()
    const all = events(await run(response.text()))
    expect(outputs(all)).toHaveLength(10)
    expect(all.at(-1)).toBe('[DONE]')
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(11_000)
  })

  it('a plain body that drips', async () => {
    const { chat, run, clock } = await withFault({ kind: 'slow_drip', delayMs: 100 })
    const response = await run(chat({ max_tokens: 3 }))
    const startMs = clock.monotonicMs()
    expect(JSON.parse(await run(response.text())).object).toBe('chat.completion')
    expect(clock.monotonicMs() - startMs).toBeGreaterThan(500)
  })

  it('a clean end without [DONE]', async () => {
    const { chat, text } = await withFault({ kind: 'no_done' })
    const all = events(await text(chat(LONG)))
    expect(all.at(-1).choices[0].finish_reason).toBe('length')
  })

  it('finish_reason abort on HTTP 200 with [DONE], streamed and whole', async () => {
    const { chat, text, json } = await withFault({ kind: 'finish_abort', afterTokens: 3 })
    const all = events(await text(chat(LONG)))
    expect(outputs(all)).toHaveLength(3)
    expect(all.at(-2).choices[0]).toMatchObject({ finish_reason: 'abort', delta: { content: '' } })
    expect(all.at(-1)).toBe('[DONE]')
    const whole = await json(chat({ max_tokens: 10, ignore_eos: true }))
    expect(whole).toMatchObject({
      status: 200,
      body: { choices: [{ finish_reason: 'abort' }], usage: { completion_tokens: 3 } },
    })
  })

  it('an error event in the stream then [DONE], first of all when asked; a 500 on a plain answer', async () => {
    const { chat, text, json, post } = await withFault({ kind: 'error_frame', afterTokens: 2, count: 1 })
    const all = events(await text(chat(LONG)))
    expect(outputs(all)).toHaveLength(2)
    expect(all.at(-2).error).toMatchObject({ type: 'InternalServerError', code: 500 })
    expect(all.at(-1)).toBe('[DONE]')
    await json(post('/admin/fault', { kind: 'error_frame', afterTokens: 0 }))
    expect(events(await text(chat(LONG)))[0]).toHaveProperty('error')
    expect((await json(chat({ max_tokens: 3 }))).status).toBe(500)
  })

  it('a crash: everything breaks and the exit code comes out', async () => {
    const { chat, run, post, crashes } = await withFault({ faults: [] })
    const broken = readUntilBroken(await run(chat({ ...LONG, max_tokens: 500 })))
    await run(post('/admin/fault', { kind: 'crash', exitCode: 137 }))
    expect((await broken).error).toBeDefined()
    expect(crashes).toEqual([137])
    await expect(chat()).rejects.toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  })

  it('a crash in the middle of an answer', async () => {
    const { chat, run, crashes } = await withFault({ kind: 'crash', exitCode: 139, afterTokens: 3 })
    const { body, error } = await run(readUntilBroken(await run(chat(LONG))))
    expect(outputs(events(body)).length).toBeLessThanOrEqual(3)
    expect(error).toBeDefined()
    expect(crashes).toEqual([139])
  })

  it('metrics that are down, or stand still', async () => {
    const { run, get, chat, text, post, call } = await withFault({ kind: 'metrics_down', count: 1 })
    expect((await run(get('/metrics'))).status).toBe(500)
    await run(post('/admin/fault', { kind: 'metrics_stale' }))
    const before = await text(get('/metrics'))
    await text(chat({ max_tokens: 3 }))
    expect(await text(get('/metrics'))).toBe(before)
    await run(call('DELETE', '/admin/fault'))
    expect(await text(get('/metrics'))).not.toBe(before)
  })

  it('health that fails, or never answers', async () => {
    const { run, get, post, clock } = await withFault({ kind: 'health_down', count: 1 })
    expect((await run(get('/health'))).status).toBe(503)
    expect((await run(get('/health'))).status).toBe(200)
    await run(post('/admin/fault', { kind: 'health_hang', count: 1 }))
    let answered = false
    void get('/health').then(() => {
      answered = true
    })
    await clock.advance(60_000)
    expect(answered).toBe(false)
    expect((await run(get('/health'))).status).toBe(200)
  })

  it('the same faults on embeddings', async () => {
    const { post, run, json } = await withFault({ kind: 'status', status: 502, count: 1 })
    const embed = () => post('/v1/embeddings', { input: 'x' })
    expect((await json(embed())).status).toBe(502)
    await json(post('/admin/fault', { kind: 'cut', count: 1 }))
    expect((await readUntilBroken(await run(embed()))).error).toBeDefined()
    await json(post('/admin/fault', { kind: 'error_frame', count: 1 }))
    expect((await json(embed())).status).toBe(500)
    expect((await json(embed())).status).toBe(200)
  })
})
