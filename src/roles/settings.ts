import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { YardError } from '../base/errors.ts'
import type { Invocation, Option } from '../cli/command.ts'

/** A role's settings by their long flag without dashes: flag over `YARD_*` over the configuration file. */
export interface Settings {
  text(name: string): string | undefined
  flag(name: string): boolean
  /** Repeated flags; in the environment and the file a comma-separated text, in the file also a list. */
  all(name: string): readonly string[]
}

/**
 * Resolves settings. The file is `--config` (or `YARD_CONFIG`): YAML, keys as the flags are spelt; an unknown key
 * is a fault, so that a misspelt one is not silently ignored.
 */
export async function readSettings(invocation: Invocation, options: readonly Option[]): Promise<Settings> {
  const { env } = invocation.world
  const known = new Set(options.map((option) => /--(?:no-)?([a-z-]+)/.exec(option.flags)?.[1] ?? ''))
  const path = textOf(invocation.options[camel('config')]) ?? env.YARD_CONFIG
  const file = path === undefined ? {} : await readConfig(path)
  for (const key of Object.keys(file)) {
    if (!known.has(key))
      throw new YardError('usage', `${path}: there is no setting "${key}"`, {
        hint: `settings: ${[...known].sort().join(', ')}`,
      })
  }
  const raw = (name: string): unknown => {
    const flag = invocation.options[camel(name)]
    if (flag !== undefined && flag !== true) return flag
    if (flag === true && !negated(options, name)) return true
    return env[`YARD_${name.replaceAll('-', '_').toUpperCase()}`] ?? file[name]
  }
  return {
    text: (name) => textOf(raw(name)),
    flag(name) {
      const value = raw(name)
      if (negated(options, name)) return !(value === false || value === 'false' || value === '0')
      return value === true || value === 'true' || value === '1'
    },
    all(name) {
      const value = raw(name)
      if (Array.isArray(value)) return value.map(String)
      return (
        textOf(value)
          ?.split(',')
          .map((part) => part.trim())
          .filter((part) => part !== '') ?? []
      )
    },
  }
}

async function readConfig(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new YardError('usage', `the configuration file ${path} can't be read`, { cause })
  })
  let value: unknown
  try {
    value = parse(text)
  } catch (cause) {
    throw new YardError('usage', `${path} is not YAML: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
    })
  }
  if (value === null || value === undefined) return {}
  if (typeof value !== 'object' || Array.isArray(value))
    throw new YardError('usage', `${path} must hold "setting: value" lines`)
  return value as Record<string, unknown>
}

function negated(options: readonly Option[], name: string): boolean {
  return options.some((option) => option.flags.includes(`--no-${name}`))
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  return typeof value === 'number' ? String(value) : undefined
}

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
