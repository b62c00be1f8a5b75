import { crc32 } from 'node:zlib'
import { errorText } from '../base/errors.ts'
import { type Effect, type HistoryBounds, Keyspace, type KeyspaceState, type Lease } from './keyspace.ts'
import type { ChangeSet, Entry } from './store.ts'

/**
 * The format of a journal file, version 1. Each line is eight hex digits of CRC-32, a space, and JSON:
 *
 *     1f0c6a52 {"kind":"state","format":1,"revision":7,"compactedRevision":0,"nextLease":2,…,"entries":2,…}
 *     … that many lines of leases, entries and change sets: the state at the file's beginning …
 *     90ab33e1 [{"kind":"change","revision":8,"ops":[…]}, …]        one line for each fsync since
 *
 * The file gets its name only after the state is on disk, and a batch is written only after the one before it
 * is, so what a crash can damage is one last line. JSON holds no raw newline: after a damaged line the next one
 * is found again, which tells a torn tail (drop it: nobody was told) from a damaged middle (refuse).
 *
 * The checksum is seeded with the file's generation: blocks of an older file, which some file systems let
 * reappear after power loss, do not pass for lines of this one.
 */
export const JOURNAL_FORMAT = 1

/** The lines that a new file starts with. */
export function* encodeState(state: KeyspaceState, generation: number): Generator<string> {
  const { revision, compactedRevision, nextLease, leases, entries, history } = state
  const head: StateHead = {
    kind: 'state',
    format: JOURNAL_FORMAT,
    revision,
    compactedRevision,
    nextLease,
    leases: leases.length,
    entries: entries.length,
    changes: history.length,
  }
  yield encodeLine(JSON.stringify(head), generation)
  for (const rows of [leases, entries, history]) {
    for (const row of rows) yield encodeLine(JSON.stringify(row), generation)
  }
}

/** One line for effects that become durable together, each already as JSON. */
export function encodeBatch(effects: readonly string[], generation: number): string {
  return encodeLine(`[${effects.join(',')}]`, generation)
}

/** `tornBytes` were at the end of the file, belong to a write that nobody was told of, and are left out. */
export type Decoded =
  | { readonly kind: 'ok'; readonly keyspace: Keyspace; readonly tornBytes: number }
  | { readonly kind: 'damaged'; readonly line: number; readonly why: string }

/** Reads a whole file back into a keyspace. */
export function decodeJournal(bytes: Buffer, generation: number, bounds: HistoryBounds): Decoded {
  const { texts, goodBytes, laterLine } = checkLines(bytes, generation)
  if (laterLine !== undefined) {
    return {
      kind: 'damaged',
      line: texts.length + 1,
      why: `its checksum is wrong, that of line ${laterLine} is right`,
    }
  }
  let line = 0
  try {
    const next = () => JSON.parse(texts[line++] ?? '')
    const keyspace = new Keyspace(bounds, readState(next))
    while (line < texts.length) for (const effect of next() as Effect[]) keyspace.apply(effect)
    return { kind: 'ok', keyspace, tornBytes: bytes.length - goodBytes }
  } catch (error) {
    const why = line > texts.length ? 'the state that the file begins with is incomplete' : errorText(error)
    return { kind: 'damaged', line, why }
  }
}

interface StateHead {
  readonly kind: 'state'
  readonly format: number
  readonly revision: number
  readonly compactedRevision: number
  readonly nextLease: number
  /** How many lines of each kind follow. */
  readonly leases: number
  readonly entries: number
  readonly changes: number
}

// The casts: checksum and format say that this program wrote these lines.
function readState(next: () => unknown): KeyspaceState {
  const head = next() as StateHead
  const rows = (count: number) => Array.from({ length: count }, next)
  return {
    revision: head.revision,
    compactedRevision: head.compactedRevision,
    nextLease: head.nextLease,
    leases: rows(head.leases) as Lease[],
    entries: rows(head.entries) as Entry[],
    history: rows(head.changes) as ChangeSet[],
  }
}

function encodeLine(json: string, generation: number): string {
  return `${checksum(json, generation)} ${json}\n`
}

/** The JSON of the good lines that the file begins with, and the number of a good line after a bad one. */
function checkLines(
  bytes: Buffer,
  generation: number,
): { texts: string[]; goodBytes: number; laterLine: number | undefined } {
  const texts: string[] = []
  let goodBytes = 0
  let line = 0
  for (let start = 0; start < bytes.length; ) {
    const newline = bytes.indexOf(NEWLINE, start)
    if (newline < 0) break
    line++
    const json = bytes.subarray(Math.min(start + 9, newline), newline)
    const good = bytes.toString('latin1', start, start + 9) === `${checksum(json, generation)} `
    start = newline + 1
    if (!good) continue
    if (line > texts.length + 1) return { texts, goodBytes, laterLine: line }
    texts.push(json.toString('utf8'))
    goodBytes = start
  }
  return { texts, goodBytes, laterLine: undefined }
}

const NEWLINE = 0x0a

function checksum(json: string | Buffer, generation: number): string {
  return crc32(json, generation).toString(16).padStart(8, '0')
}
