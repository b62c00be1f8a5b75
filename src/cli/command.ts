import type { OutputFormat } from './output.ts'
import type { World } from './world.ts'

export interface Argument {
  /** `<name>` required, `[name]` optional, `[name...]` the rest. */
  readonly syntax: string
  readonly summary: string
}

export interface Option {
  /** `-r, --replicas <n>` */
  readonly flags: string
  readonly summary: string
  /** May be given several times. */
  readonly many?: boolean
}

export type Values = Readonly<Record<string, string | boolean | readonly string[] | undefined>>

export interface GlobalValues {
  readonly server: string | undefined
  readonly gateway: string | undefined
  readonly tokenFile: string | undefined
  readonly dataDir: string | undefined
  readonly output: OutputFormat
  readonly quiet: boolean
  readonly timeoutMs: number | undefined
}

export interface Invocation {
  readonly world: World
  readonly globals: GlobalValues
  readonly args: readonly (string | undefined)[]
  /** What stood after `--`. */
  readonly rest: readonly string[]
  readonly options: Values
}

/** One command as data; `run` resolves to the exit code and loads what it needs itself, so that help stays quick. */
export interface Command {
  readonly path: readonly [string, ...string[]]
  readonly aliases?: readonly string[]
  readonly summary: string
  readonly details?: string
  readonly examples: readonly { readonly line: string; readonly does: string }[]
  readonly arguments?: readonly Argument[]
  readonly options?: readonly Option[]
  readonly hidden?: boolean
  /** It has its own connection options: the client's are not added. */
  readonly ownOptions?: boolean
  run(invocation: Invocation): Promise<number>
}
