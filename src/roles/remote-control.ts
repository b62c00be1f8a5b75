import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { YardError } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
import type { Settings } from './settings.ts'

/** How a machine reaches a control plane that is elsewhere. */
export interface RemoteControl {
  readonly baseUrl: string
  readonly fetch: Fetch
}

/** From `--server` (and `NODE_EXTRA_CA_CERTS`, which Node itself reads for a private authority). Fault: `usage`. */
export function remoteControl(settings: Settings): RemoteControl {
  const server = settings.text('server')?.replace(/\/+$/, '')
  if (server === undefined || !/^https?:\/\/[^\s/]+$/.test(server)) {
    throw new YardError(
      'usage',
      server === undefined
        ? 'say where the control plane is'
        : `"${server}" is not a URL such as https://10.0.0.5:7701`,
      {
        hint: '--server URL or YARD_SERVER',
      },
    )
  }
  return { baseUrl: server, fetch: (request) => fetch(request) }
}

/** The join token, read each time it is needed; undefined when none was given. */
export async function readJoinToken(settings: Settings): Promise<string | undefined> {
  const file = settings.text('join-token-file')
  if (file === undefined) return undefined
  const text = await readFile(resolve(file), 'utf8').catch((cause: unknown) => {
    throw new YardError('usage', `the join token file ${file} can't be read`, { cause })
  })
  return text.trim()
}
