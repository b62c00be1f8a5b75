import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '../api/client.ts'
import { operations } from '../api/operations.ts'
import { backoffMs } from '../base/backoff.ts'
import { systemClock } from '../base/clock.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Invocation } from '../cli/command.ts'
import { prepareDataDir, writePrivateFile } from './data-dir.ts'
import { makeGateway } from './gateway-parts.ts'
import { listen, parseListen } from './listen.ts'
import { type RemoteControl, readJoinToken, remoteControl } from './remote-control.ts'
import { GATEWAY_OPTIONS } from './role-options.ts'
import { dataDirOf, machineName, onStopSignals, roleLog, tlsOf } from './role-process.ts'
import { readSettings, type Settings } from './settings.ts'

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
  const keyFile = join(dataDir, 'gateway', 'key')
  let key = (await readFile(keyFile, 'utf8').catch(() => undefined))?.trim()
  if (key === undefined) {
    key = await joinCluster(settings, control, log, stop.signal)
    await writePrivateFile(keyFile, `${key}\n`)
  }
  const gateway = await makeGateway({ control, key: () => key, dataDir, log })
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

/** Registers with the join token; waits for a server that can't be reached. */
async function joinCluster(
  settings: Settings,
  control: RemoteControl,
  log: Log,
  signal: AbortSignal,
): Promise<string> {
  const client = createClient({ ...control, token: () => undefined })
  for (let attempt = 1; ; attempt++) {
    const joinToken = await readJoinToken(settings)
    if (joinToken === undefined) {
      throw new YardError('unauthenticated', 'this gateway has not joined yet and has no join token', {
        hint: 'make one with `yard node join-token --role gateway` and give it with --join-token-file',
      })
    }
    try {
      const { key } = await client.call(
        operations.register,
        { body: { joinToken, role: 'gateway', name: machineName(settings), labels: {} } },
        { signal },
      )
      return key
    } catch (error) {
      if (!isYardError(error) || !error.retryable) throw error
      const delayMs = backoffMs(attempt, { baseMs: 500, capMs: 15_000 }, Math.random)
      log.warn('join_delayed', { problem: errorText(error), retryInMs: Math.round(delayMs) })
      await systemClock.sleep(delayMs, signal)
    }
  }
}
