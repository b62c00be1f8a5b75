import { invalidValue, type Refusal } from './refusal.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Reads the fields of a request body and remembers the first that is wrong; read on, then look at `problem`. A field
 * that is null counts as absent, as OpenAI's clients expect.
 */
export class Fields {
  readonly #body: JsonObject
  problem: Refusal | undefined

  constructor(body: JsonObject) {
    this.#body = body
  }

  raw(name: string): unknown {
    return this.#body[name] ?? undefined
  }

  number(name: string, least: number, most: number): number | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (typeof value === 'number' && value >= least && value <= most) return value
    return this.wrong(name, `"${name}" must be a number from ${least} to ${most}`)
  }

  integer(name: string, least: number, most: number): number | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) {
      return value as number
    }
    return this.wrong(name, `"${name}" must be a whole number from ${least} to ${most}`)
  }

  boolean(name: string): boolean | undefined {
    const value = this.raw(name)
    if (value === undefined || typeof value === 'boolean') return value
    return this.wrong(name, `"${name}" must be true or false`)
  }

  string(name: string): string | undefined {
    const value = this.raw(name)
    if (value === undefined || typeof value === 'string') return value
    return this.wrong(name, `"${name}" must be a string`)
  }

  object(name: string): JsonObject | undefined {
    const value = this.raw(name)
    if (value === undefined || isObject(value)) return value
    return this.wrong(name, `"${name}" must be an object`)
  }

  wrong(name: string, message: string): undefined {
    this.problem ??= invalidValue(name, message)
    return undefined
  }
}
