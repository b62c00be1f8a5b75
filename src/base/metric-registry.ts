/** Values of a metric's labels. Keep them few and bounded: never ids of requests, users or prompts. */
export type MetricLabels = Readonly<Record<string, string>>

export interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** Upper bounds of a histogram's buckets, ascending, without +Inf. */
  readonly buckets?: readonly number[]
}

/** A sample read at the moment of asking, for what is known elsewhere. */
export interface GaugeSample {
  readonly labels?: MetricLabels
  readonly value: number
}

interface Series {
  readonly labels: MetricLabels
  value: number
  readonly counts: number[]
  observations: number
}

/** Most series of one metric; what comes after is added to one series labelled `other`. */
const MAX_SERIES = 2_000

/**
 * The metrics of one process, defined up front by name, written as Prometheus text (version 0.0.4). Naming one that
 * is not defined does not compile.
 */
export class MetricRegistry<Name extends string> {
  readonly #definitions: Readonly<Record<Name, MetricDefinition>>
  readonly #series = new Map<Name, Map<string, Series>>()
  readonly #gauges = new Map<Name, () => readonly GaugeSample[]>()

  constructor(definitions: Readonly<Record<Name, MetricDefinition>>) {
    this.#definitions = definitions
  }

  /** Adds to a counter. */
  count(name: Name, labels: MetricLabels = {}, by = 1): void {
    this.#at(name, labels).value += by
  }

  /** Adds one observation to a histogram. */
  observe(name: Name, value: number, labels: MetricLabels = {}): void {
    const series = this.#at(name, labels)
    const buckets = this.#definitions[name].buckets ?? []
    series.value += value
    series.observations++
    const at = buckets.findIndex((bound) => value <= bound)
    if (at >= 0) series.counts[at] = (series.counts[at] ?? 0) + 1
  }

  /** Sets where a gauge is read from. */
  read(name: Name, samples: () => readonly GaugeSample[]): void {
    this.#gauges.set(name, samples)
  }

  /** All metrics as Prometheus text. */
  text(): string {
    let text = ''
    for (const name of Object.keys(this.#definitions) as Name[]) {
      const definition = this.#definitions[name]
      const lines = definition.kind === 'gauge' ? this.#gaugeLines(name) : this.#seriesLines(name)
      if (lines === '') continue
      text += `# HELP ${name} ${definition.help}\n# TYPE ${name} ${definition.kind}\n${lines}`
    }
    return text
  }

  #gaugeLines(name: Name): string {
    const samples = this.#gauges.get(name)?.() ?? []
    return samples.map(({ labels, value }) => sampleLine(name, labels ?? {}, value)).join('')
  }

  #seriesLines(name: Name): string {
    const { kind, buckets = [] } = this.#definitions[name]
    let text = ''
    for (const { labels, value, counts, observations } of this.#series.get(name)?.values() ?? []) {
      if (kind !== 'histogram') {
        text += sampleLine(name, labels, value)
        continue
      }
      let below = 0
      buckets.forEach((bound, at) => {
        below += counts[at] ?? 0
        text += sampleLine(`${name}_bucket`, { ...labels, le: String(bound) }, below)
      })
      text += sampleLine(`${name}_bucket`, { ...labels, le: '+Inf' }, observations)
      text += sampleLine(`${name}_sum`, labels, value) + sampleLine(`${name}_count`, labels, observations)
    }
    return text
  }

  #at(name: Name, labels: MetricLabels): Series {
    let all = this.#series.get(name)
    if (all === undefined) {
      all = new Map()
      this.#series.set(name, all)
    }
    let kept = labels
    let key = labelText(kept)
    if (!all.has(key) && all.size >= MAX_SERIES) {
      kept = Object.fromEntries(Object.keys(labels).map((label) => [label, 'other']))
      key = labelText(kept)
    }
    let series = all.get(key)
    if (series === undefined) {
      series = { labels: kept, value: 0, counts: [], observations: 0 }
      all.set(key, series)
    }
    return series
  }
}

/** One sample as a line of Prometheus text. */
export function sampleLine(name: string, labels: MetricLabels, value: number): string {
  return `${name}${labelText(labels)} ${Number.isFinite(value) ? value : valueText(value)}\n`
}

function valueText(value: number): string {
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

function labelText(labels: MetricLabels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
}
