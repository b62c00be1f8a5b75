import { readFile } from 'node:fs/promises'
import { writePrivateFile } from '../base/private-file.ts'

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
    write: (text) => writePrivateFile(path, text),
  }
}
