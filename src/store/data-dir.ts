import { mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import { syncDir } from '../base/private-file.ts'
import { JOURNAL_FORMAT } from './journal-format.ts'

/** Makes the directory, readable by this user only, and makes its making durable. */
export async function makeDir(dir: string): Promise<void> {
  const first = await mkdir(dir, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = dir; made.length >= first.length; made = dirname(made)) await syncDir(dirname(made))
}

/** A journal's file name holds its format and generation: `v1-000042.journal`. */
export function journalName(generation: number): string {
  return `v${JOURNAL_FORMAT}-${String(generation).padStart(6, '0')}.journal`
}

/**
 * The journals in the directory, newest first, and files left by an interrupted start. Throws `data_dir_newer`
 * when a newer version of the program has written here.
 */
export async function findJournals(dir: string): Promise<{ generations: number[]; leftovers: string[] }> {
  const generations: number[] = []
  const leftovers: string[] = []
  for (const name of await readdir(dir)) {
    const match = /^v(\d+)-(\d+)\.journal(\.tmp)?$/.exec(name)
    if (match === null) continue
    const format = Number(match[1])
    if (format > JOURNAL_FORMAT) throw newerFormat(dir, format)
    if (match[3] !== undefined) leftovers.push(join(dir, name))
    else generations.push(Number(match[2]))
  }
  return { generations: generations.sort((a, b) => b - a), leftovers }
}

/** What a person can do about a failed file operation in the data directory, as `data_dir_unusable`. */
export function dataDirFault(dir: string, error: unknown): YardError {
  if (isYardError(error)) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return new YardError('data_dir_unusable', `${dir} cannot be used: ${errorText(error)}.`, {
    reason: code === '' ? 'failed' : code.toLowerCase(),
    hint: HINTS[code] ?? 'Check the path given as --data-dir and the disk it is on.',
    cause: error,
  })
}

/** The fault of a journal that is damaged where a crash cannot have damaged it. */
export function damagedJournal(path: string, line: number, why: string): YardError {
  return new YardError('data_dir_unusable', `${path} is damaged at line ${line}: ${why}.`, {
    reason: 'damaged',
    hint: 'The disk returned other bytes than were written. Restore the directory from a backup, or move it away to begin with an empty store.',
    details: { path, line },
  })
}

const HINTS: Readonly<Record<string, string>> = {
  EACCES: 'Give this user the right to write there, or choose another --data-dir.',
  EPERM:
    'Give this user the right to write there (and a file system with hard links), or choose another --data-dir.',
  EROFS: 'The file system is mounted read-only: choose another --data-dir.',
  ENOSPC: 'The disk is full: free some space and start again.',
  EDQUOT: 'The disk quota is used up: free some space and start again.',
  ENOTDIR: 'A part of that path is a file: choose another --data-dir.',
  EEXIST: 'A file has the name of that directory: choose another --data-dir.',
}

function newerFormat(dir: string, format: number): YardError {
  return new YardError(
    'data_dir_newer',
    `${dir} was written by a newer version of yard: its format is ${format}, this version knows ${JOURNAL_FORMAT}.`,
    {
      hint: 'Install that version again, or restore the backup made before the upgrade.',
      details: { format, known: JOURNAL_FORMAT },
    },
  )
}
