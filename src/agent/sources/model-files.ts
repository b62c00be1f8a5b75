import type { ModelFacts, SourceReport } from '../../domain/facts.ts'

/** A source as an engine can take it. */
export interface LocatedModel {
  readonly kind: 'located'
  /** An absolute real path, or what the source names elsewhere. */
  readonly modelRef: string
  readonly revision?: string
  readonly facts?: ModelFacts
  /** Of an adapter. */
  readonly rank?: number
}

/** Why a source can't be used here. `missing` may change by itself (a file appears), `invalid` does not. */
export type Unusable = Exclude<SourceReport, { kind: 'found' }>

/** The agent's hands on models. Nothing is handed to an engine that was not looked at first. */
export interface ModelFiles {
  /** What is at a source. Changes nothing on disk. */
  inspect(source: string): Promise<SourceReport>
  /** Makes a source ready for an engine: writes built-in models, resolves links, checks files. */
  locate(source: string): Promise<LocatedModel | Unusable>
}

export function missing(message: string): Unusable {
  return { kind: 'missing', message }
}

export function invalid(reason: string, message: string): Unusable {
  return { kind: 'invalid', reason, message }
}
