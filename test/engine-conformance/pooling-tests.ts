import { describe, expect, test } from 'vitest'
import { given, type Live, READY_MS } from './live.ts'
import { post, type Usage } from './openai-client.ts'

/** An engine turns texts into vectors and ranks documents. */
export function poolingTests(live: Live): void {
  describe('embeddings', () => {
    test(
      'texts become vectors of one length, the same each time, with usage',
      async (context) => {
        live.needs(context, 'embeddings')
        const embeddings = given(live.subject.embeddings)
        await using process = await live.started(embeddings)
        const embed = (input: unknown) =>
          post<{ object: string; data: { index: number; embedding: number[] }[]; usage: Usage }>(
            process,
            '/v1/embeddings',
            { model: embeddings.servedName, input },
          )
        const { object, data, usage } = await embed(['a yard', 'an engine'])
        expect(object).toBe('list')
        expect(data.map((row) => row.index)).toEqual([0, 1])
        expect(data[0]?.embedding.length).toBeGreaterThan(1)
        expect(data[1]?.embedding).toHaveLength(data[0]?.embedding.length ?? 0)
        expect(data[0]?.embedding).not.toEqual(data[1]?.embedding)
        expect(usage.prompt_tokens).toBeGreaterThan(0)
        const again = (await embed('a yard')).data[0]?.embedding ?? []
        expect(again).toHaveLength(data[0]?.embedding.length ?? 0)
        for (const [at, value] of again.entries()) expect(value).toBeCloseTo(data[0]?.embedding[at] ?? 0, 4)
      },
      READY_MS,
    )

    test(
      'documents are ranked',
      async (context) => {
        live.needs(context, 'rerank')
        const rerank = given(live.subject.rerank)
        await using process = await live.started(rerank)
        const response = await process.fetch('/v1/rerank', {
          method: 'POST',
          body: JSON.stringify({
            model: rerank.servedName,
            query: 'a yard',
            documents: ['an engine', 'a yard', 'nothing of the kind'],
          }),
        })
        const ranking = live.subject.engine.readRerank(await response.text())
        expect(ranking?.results.map((result) => result.index).sort()).toEqual([0, 1, 2])
      },
      READY_MS,
    )
  })
}
