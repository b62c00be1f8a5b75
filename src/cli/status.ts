import { operations } from '../api/operations.ts'
import type { Event } from '../domain/event.ts'
import type { GlobalValues } from './command.ts'
import type { Connection } from './connection.ts'
import { modelColumns, modelText } from './model-text.ts'
import { tableOf, writeObject } from './output.ts'
import { formatAge } from './units.ts'
import type { World } from './world.ts'

const RECENT_EVENTS = 20

/** One model on one screen, with its replicas and events. */
export async function modelStatus(
  world: World,
  globals: GlobalValues,
  { client }: Connection,
  name: string,
): Promise<number> {
  const model = await client.call(operations.getModel, { params: { name } })
  const { items: replicas } = await client.call(operations.listReplicas, { query: { model: name } })
  const { items: events } = await client.call(operations.listEvents, { query: { limit: 1000 } })
  const names = new Set([name, ...replicas.map((item) => item.name)])
  const own = events.filter((event) => names.has(event.object.name)).slice(-RECENT_EVENTS)
  const nowMs = world.clock.now()
  await writeObject(world, globals.output, {
    value: globals.output === 'table' || globals.output === 'wide' ? undefined : { ...model, replicas },
    name: model.name,
    text: () =>
      `${modelText(model, replicas, nowMs)}${own.length === 0 ? '' : `\nEvents:\n${eventTable(own, nowMs)}`}`,
  })
  return 0
}

/** The cluster: what needs attention first, then nodes and models. */
export async function clusterStatus(
  world: World,
  globals: GlobalValues,
  connection: Connection,
): Promise<number> {
  const { client } = connection
  const [models, nodes, plan, server] = await Promise.all([
    client.call(operations.listModels, {}),
    client.call(operations.listNodes, {}),
    client.call(operations.getPlan, {}),
    client.call(operations.version, {}),
  ])
  const gateway = await connection.gateway().catch(() => undefined)
  const nowMs = world.clock.now()
  const attention = [
    ...nodes.items.filter((node) => !node.ready).map((node) => `node ${node.name} is not reporting`),
    ...models.items
      .filter((model) => ['failed', 'degraded', 'pending'].includes(model.status.phase))
      .map(
        (model) =>
          `model ${model.name} is ${model.status.phase}: ${model.status.message ?? model.status.reason ?? ''}`,
      ),
  ]
  await writeObject(world, globals.output, {
    value: {
      server: connection.server,
      gateway,
      version: server.version,
      planVersion: plan.planVersion,
      attention,
      nodes: nodes.items,
      models: models.items,
    },
    name: connection.server,
    text: () => {
      const columns = modelColumns(nowMs).filter((column) => !column.wide)
      const ready = nodes.items.filter((node) => node.ready).length
      return [
        `Server:   ${connection.server} (${server.version})`,
        `Gateway:  ${gateway ?? '-'}`,
        `Plan:     version ${plan.planVersion}, ${plan.placements.length} placements`,
        `Nodes:    ${ready} of ${nodes.items.length} ready`,
        ...(attention.length === 0 ? [] : ['', 'Needs attention:', ...attention.map((line) => `  ${line}`)]),
        '',
        models.items.length === 0
          ? 'No models. Load one: yard load builtin:tiny'
          : tableOf(
              columns.map((column) => column.title),
              models.items.map((model) => columns.map((column) => column.value(model))),
            ).trimEnd(),
        '',
      ].join('\n')
    },
  })
  return 0
}

/** Events as a table, oldest first. */
export function eventTable(events: readonly Event[], nowMs: number): string {
  return tableOf(
    ['AGE', 'TYPE', 'OBJECT', 'REASON', 'MESSAGE'],
    events.map((event) => [
      formatAge(nowMs - event.atMs),
      event.type,
      `${event.object.kind}/${event.object.name}`,
      event.reason,
      event.message,
    ]),
  )
}
