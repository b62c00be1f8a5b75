import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, lstat, mkdir, open, readFile, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { errorText } from '../../base/errors.ts'
import { writePrivateFile } from '../../base/private-file.ts'
import type { SourceReport } from '../../domain/facts.ts'
import { parseSource } from '../../domain/source.ts'
import { ggufFacts } from '../../engines/gguf/facts.ts'
import { parseGguf } from '../../engines/gguf/read.ts'
import { locateGgufFile } from './gguf-file.ts'
import { locateHubDirectory } from './hub-directory.ts'
import { invalid, type LocatedModel, type ModelFiles, missing, type Unusable } from './model-files.ts'

const REMEMBERED_FILES = 64

/**
 * Models on this machine's disk. `dir` is for the built-in ones, which `build` makes. What was read of a file is
 * remembered until the file changes.
 */
export function diskModelFiles(deps: {
  readonly dir: string
  readonly build: (name: string) => Uint8Array
}): ModelFiles {
  const known = new Map<string, LocatedModel | Unusable>()
  let writing: Promise<unknown> = Promise.resolve()

  const locateFile = async (path: string): Promise<LocatedModel | Unusable> => {
    const real = await realpath(path)
    const found = await stat(real)
    await access(real, constants.R_OK)
    const key = `${real} ${found.size} ${found.mtimeMs} ${found.ino}`
    const before = known.get(key)
    if (before !== undefined) return before
    const located = found.isDirectory()
      ? await locateHubDirectory(real)
      : await locateRegular(real, found.isFile())
    // A directory's own times do not change with its files'.
    if (found.isFile() && located.kind !== 'missing') {
      known.set(key, located)
      const oldest = known.keys().next().value
      if (known.size > REMEMBERED_FILES && oldest !== undefined) known.delete(oldest)
    }
    return located
  }

  const builtin = (name: string): { bytes: Uint8Array; located: LocatedModel } => {
    const bytes = deps.build(name)
    const digest = createHash('sha256').update(bytes).digest('hex')
    const parsed = parseGguf(bytes)
    const facts = parsed.kind === 'ok' ? ggufFacts(parsed.gguf) : undefined
    return {
      bytes,
      located: {
        kind: 'located',
        modelRef: join(deps.dir, `${name}-${digest.slice(0, 16)}.gguf`),
        ...(facts?.kind === 'ok' ? { facts: facts.facts } : {}),
      },
    }
  }

  const look = async (text: string, write: boolean): Promise<LocatedModel | Unusable> => {
    const source = parseSource(text)
    switch (source.kind) {
      case 'invalid':
        return invalid('bad_source', source.message)
      case 'builtin': {
        const { bytes, located } = builtin(source.name)
        if (write) {
          const turn = writing.then(() => writeOnce(deps.dir, located.modelRef, bytes))
          writing = turn.catch(() => {})
          await turn
        }
        return located
      }
      case 'file':
        return locateFile(source.path)
      case 'command':
        return locateProgram(source.path)
      case 'hf':
        return {
          kind: 'located',
          modelRef: source.repo,
          ...(source.revision === undefined ? {} : { revision: source.revision }),
        }
      case 'sim':
        return { kind: 'located', modelRef: source.name }
      case 'external':
        return { kind: 'located', modelRef: source.url }
    }
  }

  const guarded = (text: string, write: boolean) => look(text, write).catch((error) => unusable(text, error))
  return {
    async inspect(text): Promise<SourceReport> {
      const found = await guarded(text, false)
      if (found.kind !== 'located') return found
      return { kind: 'found', ...(found.facts === undefined ? {} : { facts: found.facts }) }
    },
    locate: (text) => guarded(text, true),
  }
}

async function locateRegular(path: string, isFile: boolean): Promise<LocatedModel | Unusable> {
  if (!isFile) return invalid('not_a_file', `${path} is neither a file nor a directory`)
  const file = await open(path, 'r')
  const magic = Buffer.alloc(4)
  await file.read(magic, 0, 4, 0).finally(() => file.close())
  if (magic.toString('latin1') === 'GGUF' || /\.gguf$/i.test(path)) return locateGgufFile(path)
  return invalid(
    'not_a_model',
    `${path} is no GGUF file; for safetensors give the directory that holds them and config.json`,
  )
}

async function locateProgram(path: string): Promise<LocatedModel | Unusable> {
  const real = await realpath(path)
  if (!(await stat(real)).isFile()) return invalid('not_a_file', `${path} is not a file`)
  await access(real, constants.X_OK)
  return { kind: 'located', modelRef: real }
}

/** Writes a model once; what is there already is kept when its content is right. */
async function writeOnce(dir: string, path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const found = await lstat(path).catch(() => undefined)
  if (found?.isFile() && found.size === bytes.length && Buffer.compare(await readFile(path), bytes) === 0)
    return
  await writePrivateFile(path, bytes)
}

function unusable(source: string, error: unknown): Unusable {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT' || code === 'ENOTDIR') return missing(`there is nothing at ${source} on this node`)
  if (code === 'EACCES' || code === 'EPERM') {
    return missing(`${source} is there but the agent's user may not use it; change its permissions`)
  }
  if (code === 'ELOOP') return invalid('link_loop', `${source} is a link that leads to itself`)
  return missing(`${source} can't be read on this node: ${errorText(error)}`)
}
