import type { Device } from '../../domain/node.ts'

/** What one look at the machine's devices of one kind found. */
export type ProbeReading =
  | { readonly kind: 'devices'; readonly devices: readonly Device[] }
  /** The machine has nothing that this probe knows (no tool, no driver): not an error. */
  | { readonly kind: 'absent' }
  /** There is a tool but it did not tell; `problem` is for people. */
  | { readonly kind: 'failed'; readonly problem: string }

/** Finds devices of one vendor. `read` is never called while an earlier call of it runs. */
export interface DeviceProbe {
  /** For messages: `nvidia-smi`, `cpu` … */
  readonly name: string
  read(): Promise<ProbeReading>
}

/** Runs a program to its end and keeps what it wrote. Never rejects. */
export type Exec = (file: string, argv: readonly string[], timeoutMs: number) => Promise<ExecResult>

export type ExecResult =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: string; readonly stderr: string }
  /** There is no such program. */
  | { readonly kind: 'missing' }
  /** Killed at its deadline; `ended` resolves when it has really gone (a driver can make it unkillable). */
  | { readonly kind: 'timeout'; readonly ended: Promise<void> }
  | { readonly kind: 'failed'; readonly message: string }

/** How long a vendor's tool may take. A driver that initialises takes seconds; one that hangs takes for ever. */
export const TOOL_TIMEOUT_MS = 8_000

/** The first line worth showing of what a failed tool wrote. */
export function firstLine(result: { readonly stdout: string; readonly stderr: string }): string {
  const line = `${result.stderr}\n${result.stdout}`.split('\n').find((text) => text.trim() !== '')
  return (line ?? 'it wrote nothing').trim().slice(0, 200)
}
