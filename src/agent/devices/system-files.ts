import { readdir, readFile } from 'node:fs/promises'

/** Reads small files of `/sys` and `/proc`; undefined for what is not there or can't be read. */
export interface SystemFiles {
  readText(path: string): Promise<string | undefined>
  /** Names in a directory; empty when there is none. */
  list(path: string): Promise<readonly string[]>
}

/** The machine's own. */
export const systemFiles: SystemFiles = {
  readText: (path) => readFile(path, 'utf8').catch(() => undefined),
  list: (path) => readdir(path).catch(() => []),
}
