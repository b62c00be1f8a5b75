import { describe, expect, test } from 'vitest'
import { until } from './engine-process.ts'
import type { Live } from './live.ts'
import { post } from './openai-client.ts'

/** What an engine does shows in its metrics, and a client that leaves sets it free. */
export function loadTests(live: Live): void {
  const load = async () => {
    const { metrics, readLoad } = live.subject.engine
    if (!metrics) throw new Error('no metrics')
    const result = await live.engine.call(metrics)
    if (result.kind !== 'answer' || result.status !== 200)
      throw new Error(`metrics: ${JSON.stringify(result)}`)
    return readLoad(result.body)
  }

  describe('load', () => {
    test('what was served is counted', async () => {
      const before = await load()
      const { usage } = await post(
        live.engine,
        '/v1/chat/completions',
        live.ask({ max_tokens: 5, ignore_eos: true }),
      )
      expect(usage?.completion_tokens).toBe(5)
      await until(async () => {
        const now = await load()
        return (now.generationTokensTotal ?? 0) >= (before.generationTokensTotal ?? 0) + 5
      }, 'the tokens to be counted')
      await until(async () => (await load()).running === 0, 'nothing to run')
    })

    for (const streamed of [true, false]) {
      test(`a client that leaves ${streamed ? 'a stream' : 'a whole answer'} frees its sequence`, async () => {
        const before = (await load()).generationTokensTotal ?? 0
        const leave = new AbortController()
        const answer = live.engine
          .fetch('/v1/chat/completions', {
            method: 'POST',
            signal: leave.signal,
            body: JSON.stringify(live.askLong({ stream: streamed })),
          })
          .then((response) => response.text())
        const left = expect(answer).rejects.toThrow(/abort/i)
        await until(async () => (await load()).running === 1, 'the request to run')
        leave.abort()
        await left
        const free = async () => (await load()).running === 0
        await until(free, 'the sequence to be free', { pollMs: live.subject.pollMs ?? 20 })
        expect(((await load()).generationTokensTotal ?? 0) - before).toBeLessThan(live.subject.long.maxTokens)
      }, 60_000)
    }
  })
}
