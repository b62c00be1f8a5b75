import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { errorText } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
import { writePrivateFile } from '../base/private-file.ts'
import { within } from '../base/within.ts'
import type { Invocation } from '../cli/command.ts'
import { Progress } from '../cli/progress.ts'
import { makeAgent } from './agent-parts.ts'
import { allowedHosts } from './allowed-hosts.ts'
import { makeControl } from './control-parts.ts'
import { prepareDataDir } from './data-dir.ts'
import { loadFirstModel } from './first-model.ts'
import { makeGateway } from './gateway-parts.ts'
import { joinAsGateway } from './join-cluster.ts'
import { lateListener } from './late-listener.ts'
import { listen } from './listen.ts'
import { localJoinToken } from './local-join-token.ts'
import { DEV_OPTIONS } from './role-options.ts'
import { dataDirOf, enginePortsOf, machineName, onStopSignals, portOf, roleLog } from './role-process.ts'
import { readSettings } from './settings.ts'
import { welcome } from './welcome.ts'

const HOST = '127.0.0.1'
const DRAIN = { graceMs: 0, deadlineMs: 5_000 }
const STOP_ENGINES_MS = 20_000

/**
 * `yard dev`: control plane, gateway and one node in this process, on loopback, with the built-in model at the first
 * start. Ctrl-C lets requests end and stops the engines; the second one kills.
 */
export async function runDev(invocation: Invocation): Promise<number> {
  const { world } = invocation
  const settings = await readSettings(invocation, DEV_OPTIONS)
  const dataDir = dataDirOf(settings, world)
  // A setting that makes no sense is told before anything is touched.
  const [gatewayPort, controlPort, agentPort] = [
    portOf(settings, 'gateway-port', 7_700),
    portOf(settings, 'control-port', 7_701),
    portOf(settings, 'agent-port', 7_702),
  ]
  const enginePorts = enginePortsOf(settings)
  await prepareDataDir(dataDir)
  await mkdir(join(dataDir, 'gateway'), { recursive: true, mode: 0o700 })
  const log = roleLog(settings, 'dev', join(dataDir, 'dev.log'))
  const progress = new Progress(world, false)
  progress.show('starting')

  const late = { control: lateListener(), gateway: lateListener(), agent: lateListener() }
  const open = (part: keyof typeof late, port: number) =>
    listen(late[part].listener, { host: HOST, port }, { insecure: false, flag: `--${part}-port` })
  const gatewayAt = await open('gateway', gatewayPort)
  const controlAt = await open('control', controlPort)
  const agentAt = await open('agent', agentPort)

  const parts = await makeControl({
    settings,
    dataDir,
    log,
    gatewayUrl: gatewayAt.url,
    allowedHosts: allowedHosts({ host: HOST, port: controlAt.port }),
  })
  const { app, store, pepper } = parts
  const control = { baseUrl: controlAt.url, fetch: app.fetch }
  const stop = new AbortController()
  const running = [app.run(stop.signal)]
  late.control.set(parts.listener)

  const name = machineName(settings)
  let reporting = true
  let nodeReported: () => void = () => {}
  const reported = new Promise<void>((done) => {
    nodeReported = done
  })
  const agentControl: Fetch = async (request) => {
    if (!reporting) throw new TypeError('yard dev is stopping')
    const response = await app.fetch(request)
    if (response.ok && request.url.endsWith('/heartbeat')) nodeReported()
    return response
  }
  const made = await makeAgent({
    control: { ...control, fetch: agentControl },
    dataDir,
    log: log.with({ part: 'agent' }),
    name,
    labels: {},
    agentUrl: () => agentAt.url,
    enginePorts,
    allowCommand: true,
    joinToken: () => localJoinToken(store, pepper, 'agent'),
  })
  late.agent.set(made.agent.listener)
  const agentStop = new AbortController()
  const agentRun = made.agent.run(agentStop.signal)

  const credential = await joinAsGateway(
    {
      control,
      keyFile: join(dataDir, 'gateway', 'key'),
      name,
      log,
      joinToken: () => localJoinToken(store, pepper, 'gateway'),
    },
    stop.signal,
  )
  const gateway = await makeGateway({
    baseUrl: control.baseUrl,
    credential,
    dataDir,
    log: log.with({ part: 'gateway' }),
  })
  gateway.adopt(gatewayAt.server)
  running.push(gateway.run(stop.signal))

  const ending = new Promise<number>((ended) => {
    onStopSignals((count) => {
      if (count > 1) {
        world.stderr.write('\nkilled; engines that still run are adopted by the next start\n')
        process.exit(130)
      }
      progress.end()
      world.stderr.write('\nstopping: requests end first, then the engines (Ctrl-C again kills)\n')
      ended(0)
    })
    // The agent ends by itself only when it can't go on: its place is taken, or its disk is gone.
    agentRun.catch((error: unknown) => {
      progress.end()
      world.stderr.write(`error: the node ended: ${errorText(error)}\n`)
      ended(1)
    })
  })

  const began = (async () => {
    progress.show('the node is joining')
    // What the store says of engines is of the last run until the agent has said what there is.
    await reported
    late.gateway.set(gateway.listener)
    const addresses = { gateway: gatewayAt.url, control: controlAt.url, adminKeyFile: parts.adminKeyFile }
    await writePrivateFile(
      join(dataDir, 'dev.json'),
      `${JSON.stringify({ ...addresses, pid: process.pid }, undefined, 2)}\n`,
    )
    const { newAdminKey } = parts
    const withModel = newAdminKey !== undefined && settings.flag('model')
    if (withModel)
      await loadFirstModel({ control, adminKey: newAdminKey, clock: systemClock }, (text) =>
        progress.show(text),
      )
    progress.end()
    welcome(world, { ...addresses, newAdminKey, modelReady: withModel })
  })()
  began.catch((error: unknown) => {
    progress.end()
    world.stderr.write(`error: ${errorText(error)}\n`)
  })

  const exitCode = await ending
  await rm(join(dataDir, 'dev.json'), { force: true })
  await gateway.drain(DRAIN)
  // What ends now ends on purpose: the next start finds the same models wanted, and starts them again.
  reporting = false
  await within(systemClock, STOP_ENGINES_MS, made.agent.stopAll(), 'not all engines ended').catch(
    (error: unknown) => {
      world.stderr.write(`${errorText(error)}; the next start adopts the rest\n`)
    },
  )
  agentStop.abort()
  await agentRun.catch(() => {})
  stop.abort()
  await Promise.all(running)
  gateway.close()
  for (const at of [controlAt, agentAt]) at.server.closeAllConnections()
  await Promise.all([controlAt.close(), agentAt.close()])
  await made.close()
  await store.close()
  return exitCode
}
