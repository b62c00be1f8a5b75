import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readRerankBody } from './rerank.ts'

/** The same ranking as each engine words it. */
const SHAPES: Readonly<Record<string, { body: unknown; documents: boolean; totalTokens?: number }>> = {
  vllm: {
    body: {
      id: 'rerank-1',
      model: 'm',
      usage: { total_tokens: 56 },
      results: [
        { index: 1, document: { text: 'Paris' }, relevance_score: 0.998 },
        { index: 0, document: { text: 'Rome' }, relevance_score: 0.002 },
      ],
    },
    documents: true,
    totalTokens: 56,
  },
  sglang: {
    body: [
      { score: 0.002, document: 'Rome', index: 0, meta_info: { id: 'x' } },
      { score: 0.998, document: 'Paris', index: 1, meta_info: {} },
    ],
    documents: true,
  },
  'llama-server': {
    body: {
      model: 'm',
      object: 'list',
      usage: { prompt_tokens: 12, total_tokens: 12 },
      results: [
        { index: 1, relevance_score: 0.998 },
        { index: 0, relevance_score: 0.002 },
      ],
    },
    documents: false,
    totalTokens: 12,
  },
  'llama-server asked with texts': {
    body: [
      { index: 1, score: 0.998 },
      { index: 0, score: 0.002 },
    ],
    documents: false,
  },
  'TEI with return_text': {
    body: [
      { index: 1, text: 'Paris', score: 0.998 },
      { index: 0, text: 'Rome', score: 0.002 },
    ],
    documents: true,
  },
  'Cohere v2': {
    body: {
      results: [
        { index: 1, relevance_score: 0.998 },
        { index: 0, relevance_score: 0.002 },
      ],
      meta: { tokens: { input_tokens: 9 } },
    },
    documents: false,
    totalTokens: 9,
  },
}

describe('a rerank answer reads the same from', () => {
  for (const [name, { body, documents, totalTokens }] of Object.entries(SHAPES)) {
    test(name, () => {
      expect(readRerankBody(JSON.stringify(body))).toEqual({
        results: [
          { index: 1, relevanceScore: 0.998, ...(documents && { document: 'Paris' }) },
          { index: 0, relevanceScore: 0.002, ...(documents && { document: 'Rome' }) },
        ],
        ...(totalTokens !== undefined && { totalTokens }),
      })
    })
  }
})

test('what is not a ranking is not read as one', () => {
  for (const body of [
    '',
    'null',
    '{}',
    '{"results":{}}',
    '[{"index":0}]',
    '[{"index":-1,"score":1}]',
    '[{"index":0.5,"score":1}]',
    '[{"index":0,"score":"1"}]',
    '[{"index":0,"score":null}]',
    '{"error":{"message":"This server does not support reranking."}}',
  ]) {
    expect(readRerankBody(body), body).toBeUndefined()
  }
  expect(readRerankBody('[]')).toEqual({ results: [] })
})

test('any JSON is read without an exception, and results come best first', () => {
  fc.assert(
    fc.property(fc.json(), (body) => {
      const scores = readRerankBody(body)?.results.map((result) => result.relevanceScore) ?? []
      expect(scores).toEqual([...scores].sort((a, b) => b - a))
    }),
  )
})
