import type { EngineArgs } from '../domain/model.ts'
import { nearest } from '../domain/nearest.ts'
import { DENIED_FLAGS, DENIED_PREFIXES } from './denied-flags.ts'

/** What the value of a flag may be. */
export type FlagType =
  /** `whenFalse: '--no-'` where the engine knows the negated spelling; elsewhere false leaves the flag out. */
  | { readonly kind: 'flag'; readonly whenFalse: '--no-' | 'omit' }
  | { readonly kind: 'int'; readonly least: number; readonly most: number }
  | { readonly kind: 'number'; readonly least: number; readonly most: number }
  | { readonly kind: 'choice'; readonly of: readonly string[] }
  /** `example` says in a message what would do. */
  | { readonly kind: 'text'; readonly pattern: RegExp; readonly example: string }
  /** One JSON object. */
  | { readonly kind: 'json' }

/** What may be handed to one engine, and how its command line is spelled. */
export interface EngineFlags {
  readonly engine: string
  readonly allowed: Readonly<Record<string, FlagType>>
  /** Flags that we set from a field of the model, and that field. */
  readonly fields: Readonly<Record<string, string>>
  /** `--flag=value` in one word, or `--flag value` in two. */
  readonly spelling: 'one_word' | 'two_words'
}

/** Values of flags, in the order in which they are written. */
export type FlagValues = Readonly<Record<string, string | number | boolean>>

/** What is wrong with the arguments for this engine; empty when nothing is. `field` is `engineArgs.<flag>`. */
export function engineArgProblems(
  flags: EngineFlags,
  args: EngineArgs,
): readonly { readonly field: string; readonly message: string }[] {
  return Object.entries(args).flatMap(([flag, value]) => {
    const type = typeOf(flags, flag)
    const message = type === undefined ? whyUnknown(flags, flag) : valueProblem(type, value)
    return message === undefined ? [] : [{ field: `engineArgs.${flag}`, message }]
  })
}

/**
 * The words for `values`. What is not allowed or not well typed is left out, so that whatever was checked or not,
 * nothing else reaches the command line; a value is never a word that could be read as another flag.
 */
export function flagWords(flags: EngineFlags, values: FlagValues): readonly string[] {
  return Object.entries(values).flatMap(([flag, value]) => {
    const type = typeOf(flags, flag)
    if (type === undefined || valueProblem(type, value) !== undefined) return []
    return wordsOf(flags.spelling, flag, type, value)
  })
}

/** Adds what the engine's own fields come to; a flag that the user gave by hand wins. */
export function withUserArgs(derived: FlagValues, args: EngineArgs): FlagValues {
  return { ...derived, ...args }
}

/** A flag given by hand as a whole number, or undefined. */
export function intArg(args: EngineArgs, flag: string): number | undefined {
  const number = Object.hasOwn(args, flag) ? asNumber(args[flag]) : undefined
  return number !== undefined && Number.isSafeInteger(number) && number > 0 ? number : undefined
}

function typeOf(flags: EngineFlags, flag: string): FlagType | undefined {
  return Object.hasOwn(flags.allowed, flag) ? flags.allowed[flag] : undefined
}

function wordsOf(
  spelling: EngineFlags['spelling'],
  flag: string,
  type: FlagType,
  value: string | number | boolean,
): readonly string[] {
  if (type.kind === 'flag') {
    if (asBoolean(value) === true) return [`--${flag}`]
    return type.whenFalse === '--no-' ? [`--no-${flag}`] : []
  }
  const text = String(value)
  return spelling === 'one_word' ? [`--${flag}=${text}`] : [`--${flag}`, text]
}

function whyUnknown(flags: EngineFlags, flag: string): string {
  const field = Object.hasOwn(flags.fields, flag) ? flags.fields[flag] : undefined
  if (field !== undefined) return `set ${field} instead; Yardmaster makes --${flag} of it`
  const denied = Object.hasOwn(DENIED_FLAGS, flag)
    ? DENIED_FLAGS[flag]
    : DENIED_PREFIXES.find(([prefix]) => flag.startsWith(prefix))?.[1]
  if (denied !== undefined) return `--${flag} is not allowed: ${denied}`
  const positive = flag.startsWith('no-') ? flag.slice(3) : undefined
  if (positive !== undefined && typeOf(flags, positive)?.kind === 'flag') {
    return `write ${positive}=false in place of --${flag}`
  }
  const meant = nearest(flag, [...Object.keys(flags.allowed), ...Object.keys(flags.fields)])
  return `${flags.engine} has no --${flag} that Yardmaster knows${meant === undefined ? '' : `; did you mean --${meant}?`}`
}

function valueProblem(type: FlagType, value: string | number | boolean): string | undefined {
  switch (type.kind) {
    case 'flag':
      return asBoolean(value) === undefined ? `must be true or false, not "${value}"` : undefined
    case 'int':
    case 'number': {
      const number = asNumber(value)
      const fits =
        number !== undefined &&
        number >= type.least &&
        number <= type.most &&
        (type.kind === 'number' || Number.isInteger(number))
      const kind = type.kind === 'int' ? 'a whole number' : 'a number'
      return fits ? undefined : `must be ${kind} from ${type.least} to ${type.most}, not "${value}"`
    }
    case 'choice':
      return type.of.includes(String(value))
        ? undefined
        : `must be one of ${type.of.join(', ')}, not "${value}"`
    case 'text':
      return typeof value !== 'boolean' && isPlainText(String(value)) && type.pattern.test(String(value))
        ? undefined
        : `must be like ${type.example}`
    case 'json':
      return typeof value === 'string' && isJsonObject(value)
        ? undefined
        : 'must be one JSON object, such as {"key":1}'
  }
}

/** A leading dash would make a flag of a value that stands as a word of its own. */
function isPlainText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no control character belongs on a command line.
  return text !== '' && !text.startsWith('-') && !/[\u0000-\u001f\u007f]/.test(text)
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function asBoolean(value: string | number | boolean): boolean | undefined {
  if (value === true || value === 'true') return true
  return value === false || value === 'false' ? false : undefined
}

function asNumber(value: string | number | boolean | undefined): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  return typeof value === 'string' && /^-?\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) : undefined
}
