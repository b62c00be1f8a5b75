import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Invocation } from '../cli/command.ts'
import { allowedHosts } from './allowed-hosts.ts'
import { makeControl } from './control-parts.ts'
import { prepareDataDir } from './data-dir.ts'
import { makeGateway } from './gateway-parts.ts'
import { joinAsGateway } from './join-cluster.ts'
import { lateListener } from './late-listener.ts'
import { type ListenAt, listen, parseListen } from './listen.ts'
import { localJoinToken } from './local-join-token.ts'
import { SERVER_OPTIONS } from './role-options.ts'
import { dataDirOf, machineName, onStopSignals, roleLog, tlsOf } from './role-process.ts'
import { readSettings, type Settings } from './settings.ts'

const CONTROL_AT = '127.0.0.1:7701'
const DRAIN = { graceMs: 1_000, deadlineMs: 30_000 }

/** `yard server`: the control plane, and a gateway beside it unless `--no-gateway`. */
export async function runServer(invocation: Invocation): Promise<number> {
  const settings = await readSettings(invocation, SERVER_OPTIONS)
  const log = roleLog(settings, 'server')
  const dataDir = dataDirOf(settings, invocation.world)
  await prepareDataDir(dataDir)
  const open = (late: ReturnType<typeof lateListener>, flag: string, otherwise: string) =>
    listen(late.listener, addressOf(settings, flag, otherwise), {
      ...tlsOf(settings),
      insecure: settings.flag('insecure'),
      flag: `--${flag}`,
    })

  const lateControl = lateListener()
  const lateGateway = lateListener()
  const controlAt = await open(lateControl, 'listen', CONTROL_AT)
  const gatewayAt = settings.flag('gateway')
    ? await open(lateGateway, 'gateway-listen', '127.0.0.1:7700')
    : undefined
  const gatewayUrl = settings.text('gateway-url') ?? gatewayAt?.url
  const { app, store, pepper, listener, newAdminKey, adminKeyFile } = await makeControl({
    settings,
    dataDir,
    log,
    gatewayUrl,
    allowedHosts: allowedHosts(addressOf(settings, 'listen', CONTROL_AT), {
      gatewayUrl,
      names: settings.all('allowed-hosts'),
    }),
  })
  const stop = new AbortController()
  const running = app.run(stop.signal)
  lateControl.set(listener)
  log.info('control_listening', { url: controlAt.url })
  if (newAdminKey !== undefined) log.info('admin_key_written', { file: adminKeyFile })

  const control = { baseUrl: controlAt.url, fetch: app.fetch }
  let gateway: Awaited<ReturnType<typeof makeGateway>> | undefined
  let following: Promise<void> | undefined
  if (gatewayAt) {
    await mkdir(join(dataDir, 'gateway'), { recursive: true, mode: 0o700 })
    const credential = await joinAsGateway(
      {
        control,
        keyFile: join(dataDir, 'gateway', 'key'),
        name: machineName(settings),
        log,
        joinToken: () => localJoinToken(store, pepper, 'gateway'),
      },
      stop.signal,
    )
    gateway = await makeGateway({
      baseUrl: control.baseUrl,
      credential,
      dataDir,
      log: log.with({ part: 'gateway' }),
    })
    gateway.adopt(gatewayAt.server)
    lateGateway.set(gateway.listener)
    following = gateway.run(stop.signal)
    log.info('gateway_listening', { url: gatewayAt.url })
  }

  await new Promise<void>((stopped) => {
    onStopSignals((count) => {
      if (count > 1) process.exit(130)
      log.info('server_stopping')
      void (gateway?.drain(DRAIN) ?? Promise.resolve()).then(stopped)
    })
  })
  stop.abort()
  await Promise.all([running, following])
  gateway?.close()
  controlAt.server.closeAllConnections()
  await controlAt.close()
  await store.close()
  return 0
}

function addressOf(settings: Settings, flag: string, otherwise: string): ListenAt {
  return parseListen(settings.text(flag) ?? otherwise, `--${flag}`)
}
