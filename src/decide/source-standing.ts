import type { ModelFacts, SourceReport } from '../domain/facts.ts'
import type { ReplicaAsk } from './cluster-view.ts'
import type { Estimate } from './estimate.ts'
import type { ModelView } from './model-view.ts'

/** A source that nodes were asked to look at, and what each said. */
export interface InspectedSource {
  readonly source: string
  readonly reports: Readonly<Record<string, SourceReport>>
}

/** What is known of a source's files: by the first node, in the order of names, that measured them. */
export function factsOf({ reports }: InspectedSource): ModelFacts | undefined {
  for (const node of Object.keys(reports).sort()) {
    const report = reports[node]
    if (report?.kind === 'found' && report.facts) return report.facts
  }
  return undefined
}

/** Nodes that have all of the sources, and nodes that said that they lack one; undefined when any node will do. */
export function sourcesOn(sources: readonly InspectedSource[]): ReplicaAsk['sourceOn'] {
  if (sources.length === 0) return undefined
  const nodes = [...new Set(sources.flatMap(({ reports }) => Object.keys(reports)))].sort()
  const has = (node: string, kind: SourceReport['kind']) => (one: InspectedSource) =>
    reportOf(one, node)?.kind === kind
  return {
    found: nodes.filter((node) => sources.every(has(node, 'found'))),
    missing: nodes.filter((node) =>
      sources.some((one) => has(node, 'missing')(one) || has(node, 'invalid')(one)),
    ),
  }
}

/** How long a replica waits for nodes that have yet to look at its sources. */
export const LOOK_WAIT_MS = 3_000

/**
 * Until when a replica should wait for its place because nodes that could take it have yet to say whether they have
 * its sources; undefined when there is nothing to wait for. Without it, the first node to answer would get all
 * replicas of a model that is to be spread.
 */
export function lookingUntilMs(
  sources: readonly InspectedSource[],
  nodes: readonly string[],
  createdAtMs: number,
  nowMs: number,
): number | undefined {
  const untilMs = createdAtMs + LOOK_WAIT_MS
  if (nowMs >= untilMs) return undefined
  const silent = nodes.some((node) => sources.some((source) => reportOf(source, node) === undefined))
  return silent ? untilMs : undefined
}

/**
 * Why no replica of a model can be made at all, or undefined when one can. In order:
 * 1. a source is on none of the nodes that report: `source_invalid` when one has it and can't use it,
 *    `source_missing` when none has it, `inspecting` while some have yet to look, `no_node` when there is none;
 * 2. what was found is no model: `source_invalid`;
 * 3. the need is unknown: `footprint_unknown`.
 * `final` when waiting alone changes nothing.
 */
export function whyBlocked(input: {
  readonly sources: readonly InspectedSource[]
  readonly readyNodes: readonly string[]
  readonly estimate: Estimate
}): ModelView['blocked'] {
  for (const source of input.sources) {
    const why = whyNotFound(source, input.readyNodes)
    if (why) return why
  }
  const { estimate } = input
  if (estimate.kind === 'footprint') return undefined
  const reason = estimate.reason === 'not_a_model' ? 'source_invalid' : 'footprint_unknown'
  return { reason, message: estimate.message, final: true }
}

function whyNotFound(inspected: InspectedSource, readyNodes: readonly string[]): ModelView['blocked'] {
  const { source, reports } = inspected
  const looking = readyNodes.length > 0 ? readyNodes : Object.keys(reports)
  if (looking.some((node) => reportOf(inspected, node)?.kind === 'found')) return undefined
  if (readyNodes.length === 0) {
    const message = `no node reports that could look at ${source}; join one with \`yard agent\``
    return { reason: 'no_node', message, final: false }
  }
  const silent = readyNodes.filter((node) => reportOf(inspected, node) === undefined)
  if (silent.length > 0) {
    const message = `waiting for ${silent.length === 1 ? silent[0] : `${silent.length} nodes`} to look at ${source}`
    return { reason: 'inspecting', message, final: false }
  }
  for (const node of [...readyNodes].sort()) {
    const report = reportOf(inspected, node)
    if (report?.kind === 'invalid') {
      return { reason: 'source_invalid', message: `${source} on ${node}: ${report.message}`, final: true }
    }
  }
  const [only] = readyNodes
  const where = readyNodes.length === 1 ? `not on ${only}` : `on none of ${readyNodes.length} nodes`
  return {
    reason: 'source_missing',
    message: `${source} is ${where}; put it there, at the same path, or correct the path`,
    final: true,
  }
}

/** A node may be named like something that every object has. */
function reportOf({ reports }: InspectedSource, node: string): SourceReport | undefined {
  return Object.hasOwn(reports, node) ? reports[node] : undefined
}
