/** One line of a metrics page. `value` may be NaN or infinite, as the format allows. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface PrometheusPage {
  readonly samples: readonly Sample[]
  /** Lines that are no sample; they are skipped. */
  readonly malformedLines: number
  /** True when the page was longer than the limits and the rest was left out. */
  readonly truncated: boolean
}

/** A histogram, its label sets added up. `buckets` are cumulative, by ascending bound; the last bound is Infinity. */
export interface Histogram {
  readonly buckets: readonly { readonly atMost: number; readonly count: number }[]
  readonly sum: number
  readonly count: number
}

export interface PageLimits {
  readonly maxChars: number
  readonly maxSamples: number
  /** Keep only these names; the others cost a glance at their first word. */
  readonly names?: ReadonlySet<string>
}

const DEFAULT_LIMITS: PageLimits = { maxChars: 16_000_000, maxSamples: 100_000 }
const MAX_LABELS = 64

/**
 * Reads Prometheus' text exposition format 0.0.4, and of OpenMetrics what engines send of it (exemplars and
 * `# EOF` are ignored). Never throws, whatever the text: engines are not trusted.
 */
export function parsePrometheusText(text: string, limits: Partial<PageLimits> = {}): PrometheusPage {
  const { maxChars, maxSamples, names } = { ...DEFAULT_LIMITS, ...limits }
  const samples: Sample[] = []
  let malformedLines = 0
  const end = Math.min(text.length, maxChars)
  let truncated = text.length > maxChars
  for (let at = 0; at < end; ) {
    const newline = text.indexOf('\n', at)
    const stop = newline < 0 ? text.length : newline
    const line = text.slice(at, Math.min(stop, end)).trim()
    at = stop + 1
    if (line === '' || line.startsWith('#')) continue
    // The line that the limit cut in two is not a sample.
    if (stop > end) break
    const name = NAME.exec(line)?.[0]
    if (name !== undefined && names !== undefined && !names.has(name)) continue
    const sample = name === undefined ? undefined : readSample(name, line)
    if (sample === undefined) {
      malformedLines++
    } else if (samples.length >= maxSamples) {
      truncated = true
      break
    } else {
      samples.push(sample)
    }
  }
  return { samples, malformedLines, truncated }
}

/** The histogram `name` of a page, or undefined when it has none. */
export function histogramOf(samples: readonly Sample[], name: string): Histogram | undefined {
  const counts = new Map<number, number>()
  let sum = 0
  let count = 0
  for (const sample of samples) {
    if (sample.name === `${name}_bucket`) {
      const atMost = readNumber(sample.labels.le ?? '')
      if (atMost !== undefined && !Number.isNaN(atMost)) {
        counts.set(atMost, (counts.get(atMost) ?? 0) + sample.value)
      }
    } else if (sample.name === `${name}_sum`) {
      sum += sample.value
    } else if (sample.name === `${name}_count`) {
      count += sample.value
    }
  }
  if (counts.size === 0) return undefined
  const buckets = [...counts].map(([atMost, total]) => ({ atMost, count: total }))
  return { buckets: buckets.sort((a, b) => a.atMost - b.atMost), sum, count }
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL_NAME = /[a-zA-Z_][a-zA-Z0-9_]*/y
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', '"': '"', '\\': '\\' }

function readSample(name: string, line: string): Sample | undefined {
  let at = name.length
  while (line[at] === ' ' || line[at] === '\t') at++
  let labels: Readonly<Record<string, string>> = {}
  if (line[at] === '{') {
    const read = readLabels(line, at + 1)
    if (read === undefined) return undefined
    labels = read.labels
    at = read.end
  } else if (at === name.length) {
    return undefined
  }
  const value = readNumber(line.slice(at).trimStart().split(/[ \t]/, 1)[0] ?? '')
  return value === undefined ? undefined : { name, labels, value }
}

function readLabels(
  line: string,
  start: number,
): { labels: Readonly<Record<string, string>>; end: number } | undefined {
  // No prototype, so that a label called `__proto__` is a label.
  const labels: Record<string, string> = Object.create(null)
  let at = start
  for (let seen = 0; seen <= MAX_LABELS; seen++) {
    while (line[at] === ' ' || line[at] === ',') at++
    if (line[at] === '}') return { labels, end: at + 1 }
    LABEL_NAME.lastIndex = at
    const label = LABEL_NAME.exec(line)?.[0]
    if (label === undefined) return undefined
    at += label.length
    while (line[at] === ' ') at++
    if (line[at] !== '=') return undefined
    at++
    while (line[at] === ' ') at++
    if (line[at] !== '"') return undefined
    const value = readQuoted(line, at + 1)
    if (value === undefined) return undefined
    labels[label] = value.text
    at = value.end
  }
  return undefined
}

function readQuoted(line: string, start: number): { text: string; end: number } | undefined {
  let text = ''
  for (let at = start; at < line.length; at++) {
    const char = line[at] ?? ''
    if (char === '"') return { text, end: at + 1 }
    if (char === '\\') {
      at++
      const next = line[at] ?? ''
      text += ESCAPES[next] ?? `\\${next}`
    } else {
      text += char
    }
  }
  return undefined
}

function readNumber(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text)
  const special = text.toLowerCase()
  if (special === '+inf' || special === 'inf') return Number.POSITIVE_INFINITY
  if (special === '-inf') return Number.NEGATIVE_INFINITY
  return special === 'nan' ? Number.NaN : undefined
}
