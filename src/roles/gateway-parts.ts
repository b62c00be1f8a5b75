import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { createClient } from '../api/client.ts'
import { systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { createGateway, type Gateway } from '../gateway/gateway.ts'
import { fileViewCache } from '../gateway/view-cache.ts'
import type { GatewayCredential } from './join-cluster.ts'

/** A gateway with real sockets and its view's copy in `dataDir/gateway`. */
export async function makeGateway(deps: {
  baseUrl: string
  credential: GatewayCredential
  dataDir: string
  log: Log
}): Promise<Gateway> {
  const dir = join(deps.dataDir, 'gateway')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  return createGateway({
    control: createClient({
      baseUrl: deps.baseUrl,
      fetch: deps.credential.fetch,
      token: deps.credential.key,
    }),
    clock: systemClock,
    random: Math.random,
    log: deps.log,
    connect,
    connectTls,
    cache: fileViewCache(join(dir, 'view.json')),
    env: (name) => process.env[name],
  })
}
