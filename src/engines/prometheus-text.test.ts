import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histogramOf, parsePrometheusText } from './prometheus-text.ts'

const PAGE = `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen"} 3.0
vllm:num_requests_running{engine="1",model_name="qwen"} 2.0
up 1
odd{path="C:\\\\x",said="\\"hi\\"\\nthere", trailing="yes",} 1e-3 1700000000
with_exemplar_bucket{le="0.5"} 4 # {trace_id="abc"} 0.3
nan_value NaN
`

test('samples keep their name, labels and value', () => {
  const { samples, malformedLines, truncated } = parsePrometheusText(PAGE)
  expect(malformedLines).toBe(0)
  expect(truncated).toBe(false)
  expect(samples.map(({ name, value }) => [name, value])).toEqual([
    ['vllm:num_requests_running', 3],
    ['vllm:num_requests_running', 2],
    ['up', 1],
    ['odd', 0.001],
    ['with_exemplar_bucket', 4],
    ['nan_value', Number.NaN],
  ])
  expect({ ...samples[3]?.labels }).toEqual({ path: 'C:\\x', said: '"hi"\nthere', trailing: 'yes' })
})

test('lines that are no sample are counted and skipped', () => {
  const page = 'a{b="1} 2\n{} 3\nname\nname{x} 1\nname{x="1"} one\n0digit 1\nfine 7\r\n'
  const { samples, malformedLines } = parsePrometheusText(page)
  expect(samples.map(({ name, value }) => [name, value])).toEqual([['fine', 7]])
  expect(malformedLines).toBe(6)
})

test('a page longer than the limits is cut and says so', () => {
  const page = Array.from({ length: 10 }, (_, at) => `m${at} ${at}`).join('\n')
  expect(parsePrometheusText(page, { maxSamples: 3 })).toMatchObject({ truncated: true })
  expect(parsePrometheusText(page, { maxSamples: 3 }).samples).toHaveLength(3)
  const cut = parsePrometheusText(page, { maxChars: 12 })
  expect(cut.truncated).toBe(true)
  expect(cut.samples.map((sample) => sample.value)).toEqual([0, 1])
})

test('only the names asked for are read', () => {
  const { samples } = parsePrometheusText(PAGE, { names: new Set(['up']) })
  expect(samples.map((sample) => sample.name)).toEqual(['up'])
})

test('a histogram is added up over its label sets', () => {
  const { samples } = parsePrometheusText(`
t_bucket{engine="0",le="0.1"} 1
t_bucket{engine="0",le="+Inf"} 3
t_bucket{engine="1",le="0.1"} 2
t_bucket{engine="1",le="+Inf"} 2
t_sum{engine="0"} 1.5
t_sum{engine="1"} 0.5
t_count{engine="0"} 3
t_count{engine="1"} 2
`)
  expect(histogramOf(samples, 't')).toEqual({
    buckets: [
      { atMost: 0.1, count: 3 },
      { atMost: Number.POSITIVE_INFINITY, count: 5 },
    ],
    sum: 2,
    count: 5,
  })
  expect(histogramOf(samples, 'absent')).toBeUndefined()
})

test('any text is read without an exception', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      parsePrometheusText(text)
    }),
  )
})

test('what was written is what is read', () => {
  const label = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !text.includes('\r'))
  fc.assert(
    fc.property(label, fc.double({ noNaN: true }), (text, value) => {
      const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
      const shown = Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf'
      const [sample] = parsePrometheusText(`m{x="${escaped}"} ${shown}\n`).samples
      expect(sample?.labels.x).toBe(text)
      expect(sample?.value === value).toBe(true)
    }),
  )
})
