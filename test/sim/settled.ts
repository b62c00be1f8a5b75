import { tables } from '../../src/control/records.ts'
import { route } from '../../src/decide/route.ts'
import type { Model } from '../../src/domain/model.ts'
import type { Placement } from '../../src/domain/replica.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { Kind, StorePicture } from './store-picture.ts'

/** Records that are about a replica and must go with it. */
const OF_REPLICA: readonly Kind[] = ['placements', 'replicaStatus', 'endpoints', 'unplaced']

/** What is not as it must be once nothing has gone wrong for a while and nothing changes any more. */
export function unsettled(cluster: SimCluster): string[] {
  const { picture, nodes } = cluster
  const wrong: string[] = []
  for (const model of picture.all('models')) wrong.push(...modelWrong(cluster, model))
  for (const kind of OF_REPLICA) {
    for (const name of picture.names(kind)) {
      if (!picture.get('replicas', name)) wrong.push(`${kind} of ${name}, which is not`)
    }
  }
  for (const name of picture.names('modelStatus')) {
    if (!picture.get('models', name)) wrong.push(`a status of ${name}, which is not`)
  }
  for (const { model, name } of [...picture.all('replicas'), ...picture.all('revisions')]) {
    if (!picture.get('models', model)) wrong.push(`${name} of ${model}, which is not`)
  }
  for (const { source } of picture.all('sources')) {
    const used = [
      ...picture.all('models').map((one) => one.spec),
      ...picture.all('revisions').map((one) => one.template),
    ]
    if (!used.some((one) => one.source === source)) wrong.push(`reports on ${source}, which nothing uses`)
  }
  for (const { name, ended, machine } of nodes) {
    const condition = picture.get('nodeConditions', name)?.state
    if (ended !== undefined) wrong.push(`the agent of ${name} has ended: ${ended}`)
    if (!picture.get('nodeLeases', name) || condition !== 'ready')
      wrong.push(`${name} is not ready (${condition})`)
    const reported =
      picture
        .get('nodeStatus', name)
        ?.occupancy.map((one) => one.replica)
        .sort() ?? []
    const runs = machine.living.map((engine) => engine.ask.replica).sort()
    if (reported.join() !== runs.join()) wrong.push(`${name} says it has ${reported} and has ${runs}`)
  }
  for (const { ask, node } of cluster.living()) {
    if (!picture.get('placements', ask.replica))
      wrong.push(`the engine of ${ask.replica} runs on ${node} for nobody`)
  }
  return wrong
}

function modelWrong(cluster: SimCluster, model: Model): string[] {
  const { picture } = cluster
  const { name } = model
  if (model.deletedAtMs !== undefined) return [`${name} was deleted and is still there`]
  const status = picture.get('modelStatus', name)
  if (status === undefined) return [`${name} has no status`]
  if (status.observedGeneration !== model.generation)
    return [`the status of ${name} is of an older generation`]
  const wanted = model.spec.replicas
  const replicas = picture.all('replicas').filter((one) => one.model === name)
  const told = `${name} is ${status.phase} (${status.reason}: ${status.message})`
  if (wanted === 0) {
    return status.phase === 'stopped' && replicas.length === 0
      ? []
      : [`${told} with ${replicas.length} replicas`]
  }
  const ready = replicas.filter((one) => one.revision === status.revision && serves(cluster, one.name))
  if (status.phase === 'ready') {
    const chosen = routed(cluster, name)
    if (!ready.some((one) => one.name === chosen)) return [`${told}, but a request for it goes to ${chosen}`]
    return ready.length === wanted && replicas.length === wanted
      ? []
      : [`${told}, but ${ready.length} of ${wanted} serve (${replicas.length} there are)`]
  }
  const failed = replicas.some((one) => picture.get('replicaStatus', one.name)?.phase === 'failed')
  switch (status.reason) {
    case 'nothing_fits':
    case 'rollout_no_room': {
      const place = placeFor(picture, model)
      return place === undefined || failed ? [] : [`${told}, but ${place} has room`]
    }
    case 'source_missing':
      return cluster.nodes.some((node) => node.machine.hasFile(model.spec.source))
        ? [`${told}, but a node has it`]
        : []
    default:
      return failed ? [] : [`${told} without a reason that lasts`]
  }
}

/** Its engine runs and answers, and gateways know. */
function serves(cluster: SimCluster, replica: string): boolean {
  const engine = cluster.living().find((one) => one.ask.replica === replica)
  const endpoint = cluster.view()?.endpoints.find((one) => one.replica === replica)
  return engine?.ready === true && endpoint?.state === 'ready' && endpoint.node === engine.node
}

/** Where a gateway sends a request for a model. */
function routed(cluster: SimCluster, model: string): string {
  const endpoints = cluster.view()?.endpoints.filter((one) => one.model === model)
  const decision = route(
    { model, avoid: [] },
    { endpointsOf: () => endpoints, load: () => ({ inFlight: 0, lastUsed: 0, ejected: false }) },
    cluster.random,
  )
  return decision.kind === 'send' ? decision.endpoint.replica : decision.reason
}

/** A node that could take one more replica of a model, by the plan alone. */
function placeFor(picture: StorePicture, model: Model): string | undefined {
  const { spec } = model
  const { devices = 0, memoryBytes = 0, hostMemoryBytes = 0 } = spec.resources
  for (const node of picture.all('nodes')) {
    const status = picture.get('nodeStatus', node.name)
    if (node.cordoned || !status || !picture.get('nodeLeases', node.name)) continue
    const report = sourceReports(picture, spec.source)?.[node.name]
    if (spec.source.startsWith('file:') && report?.kind !== 'found') continue
    const on = picture.all('placements').filter((one) => one.node === node.name)
    const used = (id: string) =>
      on
        .filter((one) => one.deviceIds.includes(id))
        .reduce((sum, one: Placement) => sum + one.bytesPerDevice, 0)
    const hostUsed = on.reduce((sum, one) => sum + one.hostMemoryBytes, 0)
    const host = status.devices.find((one) => one.kind === 'cpu')?.memoryBytes ?? 0
    if (host * 0.9 - hostUsed < hostMemoryBytes) continue
    const fit = status.devices.filter(
      (one) => one.kind === 'cuda' && one.healthy && one.memoryBytes - used(one.id) >= memoryBytes,
    )
    if (fit.length >= devices) return node.name
  }
  return undefined
}

function sourceReports(picture: StorePicture, source: string): Record<string, { kind: string }> | undefined {
  return picture.all('sources').find((one) => one.source === source)?.nodes
}

/** Keys whose changes are the beating of leases, not news. */
export function isBeat(kind: Kind): boolean {
  return tables[kind] === tables.nodeLeases || tables[kind] === tables.leader
}
