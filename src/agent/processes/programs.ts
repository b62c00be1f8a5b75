import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'

/** Where a program stands on the search path, or undefined. */
export type FindProgram = (name: string) => Promise<string | undefined>

/** Looks on the search path of `env`, as the system does when it starts a program. */
export function findProgramOn(env: Readonly<Record<string, string | undefined>>): FindProgram {
  return async (name) => {
    if (name.includes('/')) return (await isProgram(name)) ? name : undefined
    for (const dir of (env.PATH ?? '').split(':')) {
      const path = join(dir, name)
      if (isAbsolute(dir) && (await isProgram(path))) return path
    }
    return undefined
  }
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return (await stat(path)).isFile()
  } catch {
    return false
  }
}
