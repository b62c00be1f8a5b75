import type { Engine, Launch } from '../../src/engines/engine.ts'

/** What some engines can't do. */
export type Ability =
  | 'unknown_model'
  | 'malformed_json'
  | 'seed'
  | 'progress'
  | 'version'
  | 'embeddings'
  | 'rerank'
  | 'adapters'
  | 'runtime_adapters'
  | 'bad_argument'
  | 'broken'

/** A live engine to try, and what to try it with. Launches lack their port. */
export interface EngineUnderTest extends Partial<AsyncDisposable> {
  readonly engine: Engine
  /** Serves text; at least two sequences. */
  readonly text: Omit<Launch, 'port'>
  /** What lets one answer run for seconds, so that it can be interrupted. */
  readonly long: { readonly launch: Partial<Launch>; readonly maxTokens: number }
  readonly embeddings?: Omit<Launch, 'port'>
  readonly rerank?: Omit<Launch, 'port'>
  /** An adapter of the text model. */
  readonly adapter?: { readonly name: string; readonly path: string; readonly changesAnswers: boolean }
  /** Loading takes long enough to be seen. */
  readonly loadsSlowly: boolean
  /** How often it may be asked while it should notice that a client left. */
  readonly pollMs?: number
  /** Launches that can't succeed, by what they come to. */
  readonly broken: readonly {
    readonly what: string
    readonly launch: Omit<Launch, 'port'>
    readonly reason: string
    readonly message: RegExp
  }[]
  /** Exit codes after its stop policy, idle and with a request in flight. */
  readonly exits: { readonly idle: readonly number[]; readonly busy: readonly number[] }
  /** What it can't do, and why: said aloud with the skipped test. */
  readonly lacks: Readonly<Partial<Record<Ability, string>>>
}
