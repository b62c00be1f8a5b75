import { openApiDocument } from '../api/openapi.ts'
import type { Fetch } from '../base/fetch.ts'
import { ClusterCache } from './cluster-cache.ts'
import { readClusterMetrics } from './cluster-metrics.ts'
import { Committer } from './committer.ts'
import type { ControlContext, ControlDeps } from './context.ts'
import { clusterHandlers } from './handlers/cluster.ts'
import { heartbeatHandler } from './handlers/heartbeat.ts'
import { joinTokenHandlers } from './handlers/join-tokens.ts'
import { keyHandlers } from './handlers/keys.ts'
import { machineHandlers } from './handlers/machines.ts'
import { modelHandlers } from './handlers/models.ts'
import { nodeHandlers } from './handlers/nodes.ts'
import { registrationHandler } from './handlers/registration.ts'
import { replicaHandlers } from './handlers/replicas.ts'
import { createDispatcher, type PlainPage } from './http/dispatch.ts'
import type { Handlers } from './http/handlers.ts'
import { type Readiness, readiness } from './http/health.ts'
import { runElection } from './leader.ts'
import { runLoops } from './loops/run-loops.ts'
import { createMetrics } from './metrics.ts'

/** The control plane. */
export interface ControlApp {
  /** Answers the control API, `/healthz`, `/readyz` and `/metrics`; nothing until `run` has read the store once. */
  readonly fetch: Fetch
  /** Mirrors the store, and runs the controllers while this server leads. Ends when `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
  /** What `/readyz` tells. */
  readiness(): Readiness
}

/** Assembles the control plane from what it is given; makes no clock, socket, store or process. */
export function createControlApp(deps: ControlDeps): ControlApp {
  const metrics = createMetrics()
  const cache = new ClusterCache(deps)
  const committer = new Committer({ ...deps, cache, metrics })
  const context: ControlContext = { ...deps, cache, committer, metrics }
  let leading = false
  readClusterMetrics(context)
  metrics.read('yard_control_leader', () => [{ value: leading ? 1 : 0 }])

  const handlers: Handlers = {
    ...modelHandlers(context),
    ...replicaHandlers(context),
    ...nodeHandlers(context),
    ...registrationHandler(context),
    ...heartbeatHandler(context),
    ...machineHandlers(context),
    ...joinTokenHandlers(context),
    ...keyHandlers(context),
    ...clusterHandlers(context),
  }
  return {
    fetch: createDispatcher({ ...context, handlers, pages: pagesOf(context) }),
    readiness: () => readiness(cache),
    async run(signal) {
      await Promise.all([
        cache.run(signal),
        runElection(
          context,
          async (term) => {
            leading = true
            await runLoops(context, term).finally(() => {
              leading = false
            })
          },
          signal,
        ),
      ])
    },
  }
}

function pagesOf({ cache, metrics, version }: ControlContext): PlainPage[] {
  let document: unknown
  return [
    { path: '/healthz', answer: () => Response.json({ status: 'ok' }) },
    {
      path: '/readyz',
      answer: () => {
        const { ready, checks } = readiness(cache)
        return Response.json({ status: ready ? 'ok' : 'failed', checks }, { status: ready ? 200 : 503 })
      },
    },
    {
      path: '/metrics',
      permission: 'nodes:read',
      answer: () =>
        new Response(metrics.text(), {
          headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
        }),
    },
    {
      path: '/api/v1/openapi.json',
      permission: 'self:read',
      answer: () => {
        document ??= openApiDocument(version)
        return Response.json(document)
      },
    },
  ]
}
