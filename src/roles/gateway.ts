import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Invocation } from '../cli/command.ts'
import { prepareDataDir } from './data-dir.ts'
import { makeGateway } from './gateway-parts.ts'
import { joinAsGateway } from './join-cluster.ts'
import { listen, parseListen } from './listen.ts'
import { readJoinToken, remoteControl } from './remote-control.ts'
import { GATEWAY_OPTIONS } from './role-options.ts'
import { dataDirOf, machineName, onStopSignals, roleLog, tlsOf } from './role-process.ts'
import { readSettings } from './settings.ts'

const DRAIN = { graceMs: 1_000, deadlineMs: 30_000 }

/**
 * `yard gateway`: the data plane alone. Joins once with a token and keeps its key; starts from its last view when the
 * control plane is away.
 */
export async function runGatewayRole(invocation: Invocation): Promise<number> {
  const settings = await readSettings(invocation, GATEWAY_OPTIONS)
  const control = remoteControl(settings)
  const log = roleLog(settings, 'gateway')
  const dataDir = dataDirOf(settings, invocation.world)
  await prepareDataDir(dataDir)
  await mkdir(join(dataDir, 'gateway'), { recursive: true, mode: 0o700 })
  const stop = new AbortController()
  const credential = await joinAsGateway(
    {
      control,
      keyFile: join(dataDir, 'gateway', 'key'),
      name: machineName(settings),
      log,
      joinToken: () => readJoinToken(settings),
    },
    stop.signal,
  )
  const gateway = await makeGateway({ baseUrl: control.baseUrl, credential, dataDir, log })
  const listening = await listen(
    gateway.listener,
    parseListen(settings.text('listen') ?? '127.0.0.1:7700', '--listen'),
    {
      ...tlsOf(settings),
      insecure: settings.flag('insecure'),
      flag: '--listen',
    },
  )
  gateway.adopt(listening.server)
  log.info('gateway_listening', { url: listening.url })
  const following = gateway.run(stop.signal)
  await new Promise<void>((stopped) => {
    onStopSignals((count) => {
      if (count > 1) process.exit(130)
      log.info('gateway_draining')
      void gateway.drain(DRAIN).then(stopped)
    })
  })
  stop.abort()
  await following
  gateway.close()
  return 0
}
