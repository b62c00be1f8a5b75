import { randomBytes } from 'node:crypto'
import { open, readFile, rename, unlink } from 'node:fs/promises'

/** Where the last good view is kept, so that a gateway can start while its control plane is away. */
export interface ViewCache {
  /** Undefined when there is none. */
  read(): Promise<string | undefined>
  write(text: string): Promise<void>
}

/** A file that only its owner may read: it holds the pepper and the engines' credentials. Replaced whole or not at all. */
export function fileViewCache(path: string): ViewCache {
  return {
    async read() {
      try {
        return await readFile(path, 'utf8')
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(text) {
      const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
      const file = await open(temporary, 'wx', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
        await file.close()
        await rename(temporary, path)
      } catch (error) {
        await file.close().catch(() => {})
        await unlink(temporary).catch(() => {})
        throw error
      }
    },
  }
}
