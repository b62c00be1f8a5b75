import { type MetricLabels, sampleLine } from '../base/metric-registry.ts'
import type { Histogram } from './histogram.ts'

/** Writes the Prometheus text format, version 0.0.4. */
export class PrometheusText {
  text = ''
  #name = ''

  family(name: string, type: 'counter' | 'gauge' | 'histogram', help: string): void {
    this.#name = name
    this.text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
  }

  sample(labels: MetricLabels, value: number, suffix = ''): void {
    this.text += sampleLine(this.#name + suffix, labels, value)
  }

  single(name: string, type: 'counter' | 'gauge', help: string, value: number): void {
    this.family(name, type, help)
    this.sample({}, value)
  }

  counters(name: string, help: string, label: string, values: ReadonlyMap<string, number>): void {
    this.family(name, 'counter', help)
    for (const [key, value] of values) this.sample({ [label]: key }, value)
  }

  /** One histogram for each model and route that observed anything. */
  histograms<Owner extends { readonly model: string; readonly route: string }>(
    name: string,
    help: string,
    owners: readonly Owner[],
    of: (owner: Owner) => Histogram,
  ): void {
    this.family(name, 'histogram', help)
    for (const owner of owners) {
      const labels = { model: owner.model, route: owner.route }
      const { bounds, counts, sum } = of(owner)
      let total = 0
      for (let place = 0; place < counts.length; place++) {
        total += counts[place] ?? 0
        this.sample(
          { ...labels, le: place < bounds.length ? String(bounds[place]) : '+Inf' },
          total,
          '_bucket',
        )
      }
      this.sample(labels, sum, '_sum')
      this.sample(labels, total, '_count')
    }
  }
}
