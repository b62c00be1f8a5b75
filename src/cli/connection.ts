import type { Client } from '../api/client.ts'
import { YardError } from '../base/errors.ts'
import type { GlobalValues } from './command.ts'
import type { World } from './world.ts'

/** What `yard dev` leaves in its data directory for scripts. */
export interface DevFile {
  readonly gateway: string
  readonly control: string
  readonly adminKeyFile: string
  readonly pid: number
}

export interface Connection {
  readonly client: Client
  readonly server: string
  /** Where the address and the credential came from, for `whoami`. */
  readonly serverFrom: string
  readonly tokenFrom: string
  readonly token: string
  /** The gateway's URL; asks the server when nothing else tells. */
  gateway(): Promise<string>
}

/**
 * Finds the server and the credential: flag, then environment, then the `dev.json` of a `yard dev` on this
 * machine. The key of `dev.json` is used only for the server that the same file names.
 */
export async function connect(world: World, globals: GlobalValues): Promise<Connection> {
  const dev = await readDevFile(world, globals)
  const [server, serverFrom] = pick([
    [globals.server, '--server'],
    [world.env.YARD_SERVER, 'YARD_SERVER'],
    [dev?.control, 'dev.json'],
  ])
  if (server === undefined) {
    throw new YardError('unreachable', 'no server is named and no `yard dev` was found on this machine', {
      hint: 'start one with `yard dev`, or name one with --server URL or YARD_SERVER',
    })
  }
  const base = server.replace(/\/+$/, '')
  if (!/^https?:\/\/[^\s/]+/.test(base))
    throw new YardError('usage', `"${server}" is not a URL such as http://127.0.0.1:7701`)
  const devKeyFile = dev !== undefined && dev.control === base ? dev.adminKeyFile : undefined
  const [token, tokenFrom] = pick([
    [await readToken(world, globals.tokenFile, '--token-file'), '--token-file'],
    [world.env.YARD_TOKEN, 'YARD_TOKEN'],
    [await readToken(world, world.env.YARD_TOKEN_FILE, 'YARD_TOKEN_FILE'), 'YARD_TOKEN_FILE'],
    [devKeyFile === undefined ? undefined : (await world.readFile(devKeyFile))?.trim(), 'dev.json'],
  ])
  if (token === undefined) {
    throw new YardError('unauthenticated', `no credential for ${base}`, {
      hint: 'set YARD_TOKEN to a key, or name a file that holds one with --token-file',
    })
  }
  const { createClient } = await import('../api/client.ts')
  const client = createClient({ fetch: world.fetch, baseUrl: base, token: () => token })
  return {
    client,
    server: base,
    serverFrom: serverFrom ?? '',
    token,
    tokenFrom: tokenFrom ?? '',
    async gateway() {
      const [known] = pick([
        [globals.gateway, '--gateway'],
        [world.env.YARD_GATEWAY, 'YARD_GATEWAY'],
        [dev?.control === base ? dev.gateway : undefined, 'dev.json'],
      ])
      if (known !== undefined) return known.replace(/\/+$/, '')
      const { operations } = await import('../api/operations.ts')
      const { gateway } = await client.call(operations.version, {})
      if (gateway !== undefined) return gateway
      throw new YardError('unreachable', `${base} does not know where its gateway is`, {
        hint: 'name it with --gateway URL or YARD_GATEWAY',
      })
    },
  }
}

/** Where roles keep their data unless told: `$XDG_STATE_HOME/yardmaster`. */
export function defaultDataDir(world: Pick<World, 'env' | 'homeDir'>): string {
  return `${world.env.XDG_STATE_HOME || `${world.homeDir}/.local/state`}/yardmaster`
}

async function readDevFile(world: World, globals: GlobalValues): Promise<DevFile | undefined> {
  const dir = globals.dataDir ?? world.env.YARD_DATA_DIR ?? defaultDataDir(world)
  const text = await world.readFile(`${world.absolutePath(dir)}/dev.json`)
  if (text === undefined) return undefined
  try {
    const value = JSON.parse(text) as Partial<DevFile>
    return typeof value.control === 'string' &&
      typeof value.gateway === 'string' &&
      typeof value.adminKeyFile === 'string'
      ? (value as DevFile)
      : undefined
  } catch {
    return undefined
  }
}

async function readToken(world: World, file: string | undefined, flag: string): Promise<string | undefined> {
  if (file === undefined || file === '') return undefined
  const text = file === '-' ? await world.readStdin(65_536) : await world.readFile(world.absolutePath(file))
  if (text === undefined) throw new YardError('usage', `${flag} names ${file}, which can't be read`)
  return text.trim()
}

function pick(
  candidates: readonly (readonly [string | undefined, string])[],
): readonly [string | undefined, string | undefined] {
  for (const [value, from] of candidates) if (value !== undefined && value !== '') return [value, from]
  return [undefined, undefined]
}
