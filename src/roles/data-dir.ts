import { randomBytes } from 'node:crypto'
import { access, constants, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorText, YardError } from '../base/errors.ts'
import { writePrivateFile } from '../base/private-file.ts'

/** Makes a data directory (0700) and makes sure that we can write in it. Fault: `data_dir_unusable`. */
export async function prepareDataDir(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await access(dir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new YardError('data_dir_unusable', `the data directory ${dir} can't be used: ${errorText(cause)}`, {
      hint: 'make it writable for this user, or choose another with --data-dir',
      cause,
    })
  }
}

/** A secret kept in the data directory: made at the first start, read at each later one. Hex of 32 bytes. */
export async function readOrMakeSecret(dir: string, name: string): Promise<string> {
  const path = join(dir, name)
  const known = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new YardError('data_dir_unusable', `${path} can't be read: ${error.message}`, { cause: error })
  })
  if (known !== undefined) {
    if (!/^[0-9a-f]{64}\s*$/.test(known))
      throw new YardError('data_dir_unusable', `${path} does not hold a secret`, {
        hint: 'restore it from a backup: without it, no key can be checked',
      })
    return known.trim()
  }
  const made = randomBytes(32).toString('hex')
  await writePrivateFile(path, `${made}\n`)
  return made
}
