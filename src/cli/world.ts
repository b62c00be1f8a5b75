import type { Clock } from '../base/clock.ts'
import type { Fetch } from '../base/fetch.ts'

/** A stream of the terminal: where text goes and whether a person reads it. */
export interface Terminal {
  write(text: string): void
  readonly isTty: boolean
  readonly columns: number
}

/** Asks a person for lines. */
export interface LineReader {
  /** The next line, or undefined at the end of input. `interrupted` when Ctrl-C was pressed at the prompt. */
  ask(prompt: string): Promise<string | undefined | { readonly interrupted: true }>
  close(): void
}

/** Everything a command may touch. `roles/process-world.ts` makes the real one; tests make their own. */
export interface World {
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: Terminal
  readonly stderr: Terminal
  readonly stdinIsTty: boolean
  /** All of standard input as text, at most `maxBytes`. */
  readStdin(maxBytes: number): Promise<string>
  openLineReader(history: readonly string[]): LineReader
  readonly fetch: Fetch
  /** A file's text, or undefined when there is none. */
  readFile(path: string): Promise<string | undefined>
  absolutePath(path: string): string
  /** Calls back on each Ctrl-C until the returned function is called; meanwhile Ctrl-C does not end the program. */
  onInterrupt(listener: () => void): () => void
  readonly homeDir: string
}
