import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { systemClock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
import type { Log } from '../base/log.ts'
import { writePrivateFile } from '../base/private-file.ts'
import { VERSION } from '../base/version.ts'
import { bootstrapAdminKey, type ControlApp, createControlApp } from '../control/index.ts'
import { openEmbeddedStore, openEtcdStore, type Store } from '../store/index.ts'
import { consoleFiles } from './console-files.ts'
import { readOrMakeSecret } from './data-dir.ts'
import type { Settings } from './settings.ts'

/** The control plane with its store, not yet running. */
export interface ControlParts {
  readonly app: ControlApp
  readonly store: Store
  readonly pepper: string
  /** The console's files, else the API. For a Node server. */
  readonly listener: ReturnType<typeof getRequestListener>
  readonly adminKeyFile: string
  /** The first admin key, made just now; undefined when there is one already. */
  readonly newAdminKey: string | undefined
}

/** Opens the store (etcd when named, else embedded), makes the first admin key if there is none, and the app. */
export async function makeControl(deps: {
  settings: Settings
  dataDir: string
  log: Log
  gatewayUrl: string | undefined
  allowedHosts: readonly string[] | undefined
}): Promise<ControlParts> {
  const { settings, dataDir, log } = deps
  const pepperFile = settings.text('pepper-file')
  const givenPepper = pepperFile === undefined ? undefined : readPepper(resolve(pepperFile))
  // First, because it locks the directory: of two that start at once, only one may make secrets.
  const store = await openStore(settings, dataDir, log)
  try {
    const pepper = givenPepper ?? (await readOrMakeSecret(dataDir, 'pepper'))
    const serverId = (await readOrMakeSecret(dataDir, 'server-id')).slice(0, 16)
    const adminKeyFile = join(dataDir, 'admin.key')
    const newAdminKey = await bootstrapAdminKey({ store, clock: systemClock, randomBytes, pepper })
    if (newAdminKey !== undefined) await writePrivateFile(adminKeyFile, `${newAdminKey}\n`)
    const app = createControlApp({
      store,
      clock: systemClock,
      random: Math.random,
      randomBytes,
      log,
      pepper,
      agentFetch: (): Fetch => (request) => fetch(request),
      version: VERSION,
      serverId,
      ...optional('gatewayUrl', deps.gatewayUrl),
      ...optional('allowedHosts', deps.allowedHosts),
    })
    const files = await consoleFiles(fileURLToPath(new URL('../console', import.meta.url)))
    const listener = getRequestListener(async (request) => files(request) ?? app.fetch(request), {
      overrideGlobalObjects: false,
    })
    return { app, store, pepper, listener, adminKeyFile, newAdminKey }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openStore(settings: Settings, dataDir: string, log: Log): Promise<Store> {
  const endpoints = settings.all('etcd-endpoints')
  if (endpoints.length === 0) return openEmbeddedStore({ dataDir, clock: systemClock, log })
  const file = (name: string) => {
    const path = settings.text(name)
    return path === undefined ? undefined : readFileSync(resolve(path), 'utf8')
  }
  const tls = {
    ...optional('ca', file('etcd-ca-file')),
    ...optional('cert', file('etcd-cert-file')),
    ...optional('key', file('etcd-key-file')),
  }
  const user = settings.text('etcd-user')
  const password = file('etcd-password-file')?.trim()
  if ((user === undefined) !== (password === undefined))
    throw new YardError('usage', '--etcd-user and --etcd-password-file go together')
  if (
    password !== undefined &&
    endpoints.some(
      (endpoint) => !endpoint.startsWith('https:') && !/\/\/(127\.|localhost|\[::1\])/.test(endpoint),
    )
  ) {
    log.warn('etcd_password_in_clear', { hint: 'use https endpoints' })
  }
  return openEtcdStore({
    endpoints,
    clock: systemClock,
    random: Math.random,
    ...optional('keyPrefix', settings.text('etcd-prefix')),
    ...(Object.keys(tls).length > 0 ? { tls } : {}),
    ...(user !== undefined && password !== undefined ? { auth: { user, password } } : {}),
  })
}

function readPepper(path: string): string {
  const text = readFileSync(path, 'utf8').trim()
  if (!/^[0-9a-f]{64,}$/.test(text)) {
    throw new YardError('usage', `${path} does not hold a pepper`, {
      hint: 'make one: openssl rand -hex 32 > pepper',
    })
  }
  return text
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [K in Key]?: Value }
}
