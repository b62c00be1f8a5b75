import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { ONLY, tables } from '../records.ts'

type ClusterHandlers = Pick<Handlers, 'listEndpoints' | 'getPlan' | 'listEvents'>

/** What the loops made of it all. */
export function clusterHandlers({ cache }: ControlContext): ClusterHandlers {
  return {
    async listEndpoints() {
      const items = cache.all(tables.endpoints).map((row) => row.value)
      return { resourceVersion: String(cache.revision), items }
    },

    async getPlan() {
      return {
        planVersion: cache.get(tables.plan, ONLY)?.value.planVersion ?? 0,
        placements: cache.all(tables.placements).map((row) => row.value),
      }
    },

    async listEvents({ query: { kind, name, limit } }) {
      const items = cache
        .all(tables.events)
        .map((row) => row.value)
        .filter(({ object }) => kind === undefined || object.kind === kind)
        .filter(({ object }) => name === undefined || object.name === name)
        .slice(-limit)
      return { resourceVersion: String(cache.revision), items }
    },
  }
}
