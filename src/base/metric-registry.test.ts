import { expect, it } from 'vitest'
import { MetricRegistry, sampleLine } from './metric-registry.ts'

it('writes counters, gauges and histograms as Prometheus text', () => {
  const registry = new MetricRegistry({
    yard_test_total: { kind: 'counter', help: 'Things' },
    yard_test_seconds: { kind: 'histogram', help: 'How long', buckets: [0.1, 1] },
    yard_test_models: { kind: 'gauge', help: 'Models' },
    yard_test_unused_total: { kind: 'counter', help: 'Never counted' },
  })
  registry.count('yard_test_total', { kind: 'a' })
  registry.count('yard_test_total', { kind: 'a' }, 2)
  registry.count('yard_test_total', { kind: 'say "hi"\n\\' })
  for (const seconds of [0.05, 0.1, 0.5, 7]) registry.observe('yard_test_seconds', seconds)
  registry.read('yard_test_models', () => [{ value: 3 }, { labels: { phase: 'ready' }, value: 2 }])
  expect(registry.text()).toBe(`# HELP yard_test_total Things
# TYPE yard_test_total counter
yard_test_total{kind="a"} 3
yard_test_total{kind="say \\"hi\\"\\n\\\\"} 1
# HELP yard_test_seconds How long
# TYPE yard_test_seconds histogram
yard_test_seconds_bucket{le="0.1"} 2
yard_test_seconds_bucket{le="1"} 3
yard_test_seconds_bucket{le="+Inf"} 4
yard_test_seconds_sum 7.65
yard_test_seconds_count 4
# HELP yard_test_models Models
# TYPE yard_test_models gauge
yard_test_models 3
yard_test_models{phase="ready"} 2
`)
})

it('does not grow without bound when a label turns out to have endless values', () => {
  const registry = new MetricRegistry({ yard_test_total: { kind: 'counter', help: 'Things' } })
  for (let at = 0; at < 5_000; at++) registry.count('yard_test_total', { name: `n${at}` })
  const lines = registry.text().split('\n')
  expect(lines.length).toBeLessThan(2_010)
  expect(lines).toContain('yard_test_total{name="other"} 3000')
})

it('spells numbers that JSON does not know as Prometheus does', () => {
  expect(sampleLine('a', {}, Number.POSITIVE_INFINITY)).toBe('a +Inf\n')
  expect(sampleLine('a', {}, Number.NEGATIVE_INFINITY)).toBe('a -Inf\n')
  expect(sampleLine('a', { b: 'c"\n\\' }, Number.NaN)).toBe('a{b="c\\"\\n\\\\"} NaN\n')
})
