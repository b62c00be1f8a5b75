import { sameJson } from '../../base/canonical-json.ts'
import { YardError } from '../../base/errors.ts'
import type { ControlContext } from '../context.ts'
import { gatewayViewOf } from '../gateway-view.ts'
import type { Handlers } from '../http/handlers.ts'
import { PolledView } from '../long-poll.ts'
import { inspectedSources } from '../model-facts.ts'
import { sourceId, templateOf } from '../naming.ts'
import { nodeWorkOf } from '../node-work.ts'
import { tables } from '../records.ts'
import { found } from '../views.ts'

type MachineHandlers = Pick<Handlers, 'nodeWork' | 'reportSource' | 'gatewayView'>

/** What agents and gateways ask for again and again. */
export function machineHandlers(context: ControlContext): MachineHandlers {
  const { cache, committer, pepper } = context
  const work = new PolledView(context, (node) => nodeWorkOf(cache, pepper, node))
  const views = new PolledView(context, () => gatewayViewOf(cache, pepper))

  const isUsed = (source: string) =>
    cache.all(tables.models).some((row) => inspectedSources(templateOf(row.value.spec)).includes(source))

  return {
    async nodeWork({ params: { name }, query, signal }) {
      found(cache.get(tables.nodes, name), 'node', name)
      const { revision, document } = await work.poll(name, query, signal)
      return { revision, ...document }
    },

    async reportSource({ params: { name }, body: { source, report } }) {
      found(cache.get(tables.nodes, name), 'node', name)
      // What no model uses any more would only be swept up again.
      if (!isUsed(source)) return {}
      if (JSON.stringify(report).length > REPORT_MAX_CHARS) {
        throw new YardError('too_large', `a report has at most ${REPORT_MAX_CHARS} characters`)
      }
      await committer.commit('source_report', (transaction) => {
        if (transaction.get(tables.nodes, name) === undefined) return
        const id = sourceId(source)
        const nodes = transaction.get(tables.sources, id)?.nodes ?? {}
        if (Object.hasOwn(nodes, name) && sameJson(nodes[name], report)) return
        transaction.put(tables.sources, id, { source, nodes: { ...nodes, [name]: report } })
      })
      return {}
    },

    async gatewayView({ query, signal }) {
      const { revision, document } = await views.poll('gateways', query, signal)
      return { revision, ...document }
    },
  }
}

const REPORT_MAX_CHARS = 16_384
