import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import type { Launch } from '../../src/engines/engine.ts'
import { buildTiny } from '../../src/engines/tiny/build.ts'

/** The built-in models as files, whole and broken. */
export interface TinyFiles extends AsyncDisposable {
  readonly model: string
  readonly embed: string
  readonly lora: string
  readonly truncated: string
  readonly garbage: string
  readonly missing: string
  readonly dir: string
}

export async function writeTinyFiles(): Promise<TinyFiles> {
  const dir = await mkdtemp(join(tmpdir(), 'yard-engine-'))
  const model = buildTiny('tiny')
  const write = async (name: string, bytes: Uint8Array) => {
    const path = join(dir, name)
    await writeFile(path, bytes)
    return path
  }
  return {
    dir,
    model: await write('tiny.gguf', model),
    embed: await write('tiny-embed.gguf', buildTiny('tiny-embed')),
    lora: await write('tiny-lora.gguf', buildTiny('tiny-lora')),
    truncated: await write('truncated.gguf', model.subarray(0, Math.floor(model.length / 2))),
    garbage: await write('garbage.gguf', new TextEncoder().encode('this is no model\n'.repeat(100))),
    missing: join(dir, 'missing.gguf'),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  }
}

/** A launch on the processors; tests say the rest. */
export function launchHere(fields: Partial<Launch> & Pick<Launch, 'modelRef'>): Omit<Launch, 'port'> {
  return {
    servedName: 'yard-test',
    host: '127.0.0.1',
    devices: [{ id: 'cpu', kind: 'cpu', model: 'processors', memoryBytes: 2 ** 32, healthy: true }],
    bytesPerDevice: 0,
    adapters: [],
    engineArgs: {},
    credential: 'sk-conformance-7d1f0c',
    yardCommand: [process.execPath, YARD],
    cacheDir: tmpdir(),
    threads: 1,
    ...fields,
  }
}

/** Our program, as built. */
export const YARD = resolve(import.meta.dirname, '../../dist/yard.js')

/** Why our own engines can't be tried here; undefined when they can. */
export function yardMissing(): string | undefined {
  return existsSync(YARD) ? undefined : 'dist/yard.js is not there; run npm run build first'
}

/** Why an engine's program can't be tried here; undefined when it is on the search path. */
export function programMissing(name: string): string | undefined {
  const found = (process.env.PATH ?? '').split(delimiter).some((dir) => existsSync(join(dir, name)))
  return found ? undefined : `there is no ${name} on the search path`
}
