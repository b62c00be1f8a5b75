/** Which run's lines: the present one, or the one before it. */
export type LogRun = 'current' | 'previous'

/** New lines of one replica's log since the last look, for the one who watches its engine. */
export interface LineFeed {
  /** Complete lines, oldest first. When an engine writes faster than this is called, only the newest are given. */
  next(): Promise<readonly string[]>
}

/**
 * What engines write. An engine holds its log file itself and appends to it; the agent cuts the file when it grows, so
 * that an engine needs no agent to run and can't fill the disk while there is one.
 */
export interface EngineLogs {
  /** Makes room for a new run: what is there becomes the previous run. The path is where the engine is to append. */
  begin(replica: string): Promise<string>
  /** Where the engine of a replica appends. */
  pathOf(replica: string): string
  feed(replica: string): LineFeed
  /** The last lines as bytes of text; undefined when there is no such log. */
  tail(replica: string, lines: number, run: LogRun): Promise<Uint8Array | undefined>
  /** The last lines, then what is written from now on, until `signal` aborts. */
  follow(replica: string, lines: number, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Cuts the logs that have grown too large; the bytes that had to be dropped. */
  trim(): Promise<number>
  /** Removes the logs of replicas that are not in `keep`, but for the few youngest. */
  prune(keep: ReadonlySet<string>): Promise<void>
}

export interface LogLimits {
  /** A file is cut when it is longer than this. */
  readonly fileBytes: number
  /** Files kept of the present run, the growing one counted in. */
  readonly files: number
  /** Logs kept of replicas that are no more. */
  readonly forgottenReplicas: number
}

export const LOG_LIMITS: LogLimits = { fileBytes: 10 * 1024 * 1024, files: 5, forgottenReplicas: 20 }
