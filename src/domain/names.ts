import { z } from 'zod'

const GRAMMAR = /^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/

/**
 * The grammar of every name that a person may choose (models, nodes, adapters, keys' display names excepted):
 * lower-case letters, digits, `.`, `_`, `-`; begins and ends with a letter or digit; at most 63 characters.
 * Names are never used as paths or arguments of programs.
 */
export const Name = z
  .string()
  .max(63)
  .regex(
    GRAMMAR,
    'use lower-case letters, digits, ".", "_" and "-", and begin and end with a letter or digit',
  )

/** True for a well-formed name. */
export function isName(text: string): boolean {
  return text.length <= 63 && GRAMMAR.test(text)
}

/** A name made from any text, or undefined when nothing of it can be kept: `Qwen/Qwen3-8B` → `qwen3-8b`. */
export function nameFrom(text: string): string | undefined {
  const last = text.split(/[/\\]/).at(-1) ?? ''
  const name = last
    .replace(/\.gguf$/i, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63)
    .replace(/[^a-z0-9]+$/, '')
  return isName(name) ? name : undefined
}

/** `key=value` labels as on nodes and models. */
export const Labels = z.record(z.string().min(1).max(63), z.string().max(63))
export type Labels = Readonly<Record<string, string>>
