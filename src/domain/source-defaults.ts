import type { EngineName } from './engine-name.ts'
import { nameFrom } from './names.ts'
import type { Source } from './source.ts'

/** The engine that serves a source when nobody names one; the CLI and the console agree by it. */
export const DEFAULT_ENGINE: Readonly<Record<Source['kind'], EngineName>> = {
  builtin: 'llama',
  file: 'llama',
  hf: 'vllm',
  sim: 'sim',
  command: 'command',
  external: 'external',
}

/** The name of a model that nobody named, or undefined when its source offers none. */
export function nameOfSource(source: Source): string | undefined {
  switch (source.kind) {
    case 'file':
    case 'command':
      return nameFrom(source.path)
    case 'hf':
      return nameFrom(source.repo)
    case 'external':
      return nameFrom(/^https?:\/\/(\[[^\]]*\]|[^:/]+)/i.exec(source.url)?.[1] ?? '')
    default:
      return nameFrom(source.name)
  }
}
