import type { Rejection } from '../domain/model.ts'
import type { NodeView, ReplicaAsk } from './cluster-view.ts'

interface NodeCheck {
  readonly reason: Rejection['reason']
  refuses(ask: ReplicaAsk, node: NodeView): boolean
  message(ask: ReplicaAsk, node: NodeView): string
}

/** What rules a node out before any memory is counted, in the order in which it is told. */
export const NODE_CHECKS: readonly NodeCheck[] = [
  {
    reason: 'cordoned',
    refuses: (_, node) => node.cordoned,
    message: (_, { name }) =>
      `${name} is cordoned and takes no replicas; \`yard node uncordon ${name}\` ends that`,
  },
  {
    reason: 'not_ready',
    refuses: (_, node) => !node.ready,
    message: (_, { name }) => `${name} does not report; start its agent or mend its connection to the server`,
  },
  {
    reason: 'avoided',
    refuses: (ask, node) => ask.avoidNodes.includes(node.name),
    message: (ask, { name }) =>
      `a replica of ${ask.model} failed on ${name} because of a device; mend it, or add another node`,
  },
  {
    reason: 'selector',
    refuses: (ask, node) => mismatches(ask, node).length > 0,
    message: (ask, node) => {
      const wanted = mismatches(ask, node)
      const has = wanted.map(([key]) => `${key}=${labelOf(node, key) ?? '(none)'}`)
      const asked = wanted.map(([key, value]) => `${key}=${value}`).join(', ')
      return `the model asks for nodes with ${asked}; ${node.name} has ${has.join(', ')}; label the node or change the selector`
    },
  },
  {
    reason: 'engine_missing',
    refuses: (ask, node) => !node.engines.includes(ask.engine),
    message: (ask, { name, engines }) =>
      `${name} has no ${ask.engine} (it has ${engines.length > 0 ? engines.join(', ') : 'no engine'}); install it there, or choose another engine with --engine`,
  },
  {
    reason: 'source_missing',
    refuses: ({ sourceOn }, { name }) => sourceOn?.missing.includes(name) === true,
    message: (ask, { name }) =>
      `the source of ${ask.model} is not on ${name}; put it there, at the same path`,
  },
  {
    reason: 'source_unknown',
    refuses: ({ sourceOn }, { name }) =>
      sourceOn !== undefined && !sourceOn.found.includes(name) && !sourceOn.missing.includes(name),
    message: (ask, { name }) => `${name} has not yet said whether it has the source of ${ask.model}`,
  },
]

function mismatches(ask: ReplicaAsk, node: NodeView): [string, string][] {
  return Object.entries(ask.nodeSelector).filter(([key, value]) => labelOf(node, key) !== value)
}

function labelOf(node: NodeView, key: string): string | undefined {
  return Object.hasOwn(node.labels, key) ? node.labels[key] : undefined
}
