import { describe, expect, test } from 'vitest'
import type { Live } from './live.ts'
import { checkUsage, post, stream } from './openai-client.ts'

/** An engine answers as the OpenAI API does. */
export function textTests(live: Live): void {
  describe('models', () => {
    test('the served name is listed', async () => {
      const response = await live.engine.fetch('/v1/models')
      const { object, data } = (await response.json()) as { object: string; data: { id: string }[] }
      expect(object).toBe('list')
      expect(data.map((model) => model.id)).toContain(live.subject.text.servedName)
    })

    test('an unknown model is refused with 404', async (context) => {
      live.needs(context, 'unknown_model')
      const response = await live.engine.fetch('/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify(live.ask({ model: 'no-such-model' })),
      })
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({
        error: { message: expect.stringContaining('no-such-model') },
      })
    })
  })

  describe('chat', () => {
    test('an answer has role, content, finish reason and usage', async () => {
      const answer = await post(live.engine, '/v1/chat/completions', live.ask())
      expect(answer).toMatchObject({ object: 'chat.completion', model: live.subject.text.servedName })
      expect(answer.choices).toHaveLength(1)
      const [choice] = answer.choices
      expect(choice?.message?.role).toBe('assistant')
      expect(choice?.message?.content).toMatch(/\S/)
      expect(['stop', 'length']).toContain(choice?.finish_reason)
      checkUsage(answer.usage, 12)
    })

    test('a stream has the role first, content, one finish reason, and ends with [DONE]', async () => {
      const answer = await stream(live.engine, '/v1/chat/completions', live.ask())
      expect(answer.chunks.every((chunk) => chunk.object === 'chat.completion.chunk')).toBe(true)
      expect(new Set(answer.chunks.map((chunk) => chunk.id)).size).toBe(1)
      expect(answer.chunks[0]?.choices[0]?.delta?.role).toBe('assistant')
      expect(answer.text).toMatch(/\S/)
      const reasons = answer.chunks.flatMap((chunk) =>
        chunk.choices.map((choice) => choice.finish_reason ?? []),
      )
      expect(reasons.flat()).toEqual([expect.stringMatching(/^(stop|length)$/)])
      expect(answer.done).toBe(true)
    })

    test('a stream tells usage when asked, after the last choice', async () => {
      const answer = await stream(
        live.engine,
        '/v1/chat/completions',
        live.ask({ stream_options: { include_usage: true } }),
      )
      checkUsage(answer.usage, 12)
      expect(answer.chunks.at(-1)?.choices).toEqual([])
    })

    test('a stream and a whole answer say the same', async () => {
      const whole = await post(live.engine, '/v1/chat/completions', live.ask({ seed: 7 }))
      const streamed = await stream(live.engine, '/v1/chat/completions', live.ask({ seed: 7 }))
      expect(streamed.text).toBe(whole.choices[0]?.message?.content)
      expect(streamed.finishReason).toBe(whole.choices[0]?.finish_reason)
    })

    test('max_tokens ends an answer with its reason', async () => {
      const answer = await post(
        live.engine,
        '/v1/chat/completions',
        live.ask({ max_tokens: 3, ignore_eos: true }),
      )
      expect(answer.choices[0]?.finish_reason).toBe('length')
      expect(answer.usage?.completion_tokens).toBe(3)
    })

    test('stop ends an answer before the words and is left out', async () => {
      const fields = { max_tokens: 24, ignore_eos: true, seed: 5 }
      const whole =
        (await post(live.engine, '/v1/chat/completions', live.ask(fields))).choices[0]?.message?.content ?? ''
      const stop = whole.slice(Math.floor(whole.length / 2), Math.floor(whole.length / 2) + 3)
      expect(stop).toHaveLength(3)
      const expected = whole.slice(0, whole.indexOf(stop))
      const cut = await post(live.engine, '/v1/chat/completions', live.ask({ ...fields, stop: [stop] }))
      // The API trims what a chat message begins or ends with in some engines.
      expect(cut.choices[0]?.message?.content.trim()).toBe(expected.trim())
      expect(cut.choices[0]?.finish_reason).toBe('stop')
      const streamed = await stream(
        live.engine,
        '/v1/chat/completions',
        live.ask({ ...fields, stop: [stop] }),
      )
      expect(streamed.text.trim()).toBe(expected.trim())
    })

    test('a seed is kept', async (context) => {
      live.needs(context, 'seed')
      const say = async (seed: number) => {
        const fields = live.ask({ seed, temperature: 1.5, max_tokens: 24, ignore_eos: true })
        return (await post(live.engine, '/v1/chat/completions', fields)).choices[0]?.message?.content
      }
      expect(await say(11)).toBe(await say(11))
      const others = await Promise.all([12, 13].map(say))
      expect(new Set([await say(11), ...others]).size).toBeGreaterThan(1)
    })
  })

  describe('completions', () => {
    test('an answer has text, finish reason and usage', async () => {
      const body = { model: live.subject.text.servedName, prompt: 'The yard', max_tokens: 8, temperature: 0 }
      const answer = await post(live.engine, '/v1/completions', body)
      expect(answer.object).toBe('text_completion')
      expect(answer.choices[0]?.text).toBeTypeOf('string')
      expect(['stop', 'length']).toContain(answer.choices[0]?.finish_reason)
      checkUsage(answer.usage, 8)
      const streamed = await stream(live.engine, '/v1/completions', body)
      expect(streamed.done).toBe(true)
      expect(streamed.text).toBe(answer.choices[0]?.text)
    })
  })

  describe('bad requests', () => {
    test('malformed JSON is a 400 with a message', async (context) => {
      live.needs(context, 'malformed_json')
      const response = await live.engine.fetch('/v1/chat/completions', {
        method: 'POST',
        body: '{"model": "x", ',
      })
      expect(response.status).toBe(400)
      expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(/\S/) } })
    })

    test('a prompt longer than the context is a 400', async () => {
      const content = 'yard '.repeat((live.engine.launch.contextTokens ?? 4096) * 2)
      const response = await live.engine.fetch('/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify(live.ask({ messages: [{ role: 'user', content }] })),
      })
      expect(response.status).toBe(400)
      await response.body?.cancel()
    })

    test('it goes on serving after them', async () => {
      expect((await post(live.engine, '/v1/chat/completions', live.ask())).choices).toHaveLength(1)
    })
  })
}
