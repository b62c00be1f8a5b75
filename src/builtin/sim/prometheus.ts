/** Metric families in the text format and with the habits of Python's prometheus_client, which vLLM uses. */
export interface Registry {
  counter(name: string, help: string): Family<Counter>
  gauge(name: string, help: string): Family<Gauge>
  histogram(name: string, help: string, buckets: readonly number[]): Family<Histogram>
  render(): string
}

/** The samples of one name. `most` label sets are kept; with one more the oldest goes. */
export interface Family<Metric> {
  with(labels: Labels): Metric
}

export interface Counter {
  add(amount: number): void
}

export interface Gauge {
  set(value: number): void
}

export interface Histogram {
  observe(value: number): void
}

export type Labels = Readonly<Record<string, string>>

/** `createdS`: what the `_created` samples say, seconds since the epoch. */
export function createRegistry(createdS: number): Registry {
  const families: (() => string)[] = []

  const family = <Metric>(
    head: { name: string; type: string; help: string },
    make: () => { metric: Metric; samples: (pairs: Pairs) => string; created: boolean },
  ): Family<Metric> => {
    const children = new Map<string, ReturnType<typeof make> & { pairs: Pairs }>()
    families.push(() => {
      const lines = [`# HELP ${head.name} ${head.help}\n# TYPE ${head.name} ${head.type}\n`]
      const base = head.name.replace(/_total$/, '')
      const created = [`# HELP ${base}_created ${head.help}\n# TYPE ${base}_created gauge\n`]
      for (const child of children.values()) {
        lines.push(child.samples(child.pairs))
        if (child.created) created.push(`${base}_created${braced(child.pairs)} ${number(createdS)}\n`)
      }
      return lines.join('') + (created.length > 1 ? created.join('') : '')
    })
    return {
      with(labels) {
        const pairs = pairsOf(labels)
        const key = pairs.join()
        const known = children.get(key)
        if (known) return known.metric
        const child = { ...make(), pairs }
        children.set(key, child)
        const [oldest] = children.keys()
        if (children.size > MOST_LABEL_SETS && oldest !== undefined) children.delete(oldest)
        return child.metric
      },
    }
  }

  return {
    counter: (base, help) => {
      const name = `${base}_total`
      return family({ name, type: 'counter', help }, () => {
        let total = 0
        return {
          metric: {
            add: (amount) => {
              total += amount
            },
          },
          samples: (pairs) => `${name}${braced(pairs)} ${number(total)}\n`,
          created: true,
        }
      })
    },
    gauge: (name, help) =>
      family({ name, type: 'gauge', help }, () => {
        let last = 0
        return {
          metric: {
            set: (value) => {
              last = value
            },
          },
          samples: (pairs) => `${name}${braced(pairs)} ${number(last)}\n`,
          created: false,
        }
      }),
    histogram: (name, help, buckets) =>
      family({ name, type: 'histogram', help }, () => {
        const counts = new Float64Array(buckets.length + 1)
        let sum = 0
        return {
          metric: {
            observe: (value) => {
              let at = 0
              while (at < buckets.length && value > (buckets[at] ?? 0)) at++
              counts[at] = (counts[at] ?? 0) + 1
              sum += value
            },
          },
          samples: (pairs) => histogramText(name, pairs, { buckets, counts, sum }),
          created: true,
        }
      }),
    render: () => families.map((text) => text()).join(''),
  }
}

const MOST_LABEL_SETS = 100

function histogramText(
  name: string,
  pairs: Pairs,
  { buckets, counts, sum }: { buckets: readonly number[]; counts: Float64Array; sum: number },
): string {
  let below = 0
  const lines = [...buckets, Number.POSITIVE_INFINITY].map((bound, at) => {
    below += counts[at] ?? 0
    return `${name}_bucket${braced([...pairs, `le="${number(bound)}"`].sort())} ${number(below)}\n`
  })
  lines.push(
    `${name}_count${braced(pairs)} ${number(below)}\n`,
    `${name}_sum${braced(pairs)} ${number(sum)}\n`,
  )
  return lines.join('')
}

/** `name="value"`, by name: prometheus_client sorts labels, `le` among them. */
type Pairs = readonly string[]

function pairsOf(labels: Labels): Pairs {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, escaped)}"`)
    .sort()
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`
}

function braced(pairs: Pairs): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

/** As prometheus_client prints floats: `1.0`, `0.25`, `1e+06`, `+Inf`. */
function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  const text = Number.isInteger(value) && Math.abs(value) < 1e16 ? `${value}.0` : String(value)
  const dot = text.indexOf('.')
  if (value <= 0 || dot <= 6) return text
  const mantissa = `${text[0]}.${text.slice(1, dot)}${text.slice(dot + 1)}`.replace(/[0.]+$/, '')
  return `${mantissa}e+0${dot - 1}`
}
