import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'

const MAX_BYTES = 16 * 1024 * 1024

/**
 * A log file for its owner only, appended to. Longer than `maxBytes` it becomes `<path>.1`, in place of the one before
 * it, and is begun anew. Written at once, so that the last words of a process are kept; what can't be written (a full
 * disk) is dropped, since a log must not end the program that it tells of. Throws when it can't be opened.
 */
export function openLogFile(path: string, maxBytes = MAX_BYTES): { write(bytes: Uint8Array): void } {
  let file = openSync(path, 'a', 0o600)
  let length = fstatSync(file).size

  const beginAnew = () => {
    renameSync(path, `${path}.1`)
    const next = openSync(path, 'a', 0o600)
    closeSync(file)
    file = next
    length = 0
  }
  return {
    write(bytes) {
      try {
        if (length > maxBytes) beginAnew()
        length += writeSync(file, bytes)
      } catch {
        // Nowhere to tell it.
      }
    },
  }
}
