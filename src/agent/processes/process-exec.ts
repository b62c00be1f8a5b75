import { spawn } from 'node:child_process'
import type { Clock } from '../../base/clock.ts'
import type { Exec, ExecResult } from '../devices/device-probe.ts'

/** More than any tool has to say; the rest is dropped. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024

/** Runs real programs, in the C locale, with the search path of `env` and nothing else of it. */
export function processExec(deps: {
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
}): Exec {
  return (file, argv, timeoutMs) =>
    new Promise<ExecResult>((resolve) => {
      const child = spawn(file, [...argv], {
        env: { PATH: deps.env.PATH, HOME: deps.env.HOME, LC_ALL: 'C' },
        stdio: ['ignore', 'pipe', 'pipe'],
        shell: false,
        detached: true,
      })
      const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] }
      let bytes = 0
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes <= MAX_OUTPUT_BYTES) output[name].push(chunk)
        })
      }
      const ended = new Promise<void>((end) => {
        child.once('exit', () => end())
        child.once('error', () => end())
      })
      const timer = deps.clock.after(timeoutMs, () => {
        killGroup(child.pid)
        // A process in a driver call ignores even this; the caller must not wait for it.
        child.stdout.destroy()
        child.stderr.destroy()
        child.unref()
        resolve({ kind: 'timeout', ended })
      })
      child.once('error', (error: NodeJS.ErrnoException) => {
        timer.cancel()
        resolve(error.code === 'ENOENT' ? { kind: 'missing' } : { kind: 'failed', message: error.message })
      })
      child.once('close', (code, signal) => {
        timer.cancel()
        if (code === null) {
          resolve({ kind: 'failed', message: `it was ended by ${signal}` })
          return
        }
        resolve({
          kind: 'exited',
          code,
          stdout: Buffer.concat(output.stdout).toString('utf8'),
          stderr: Buffer.concat(output.stderr).toString('utf8'),
        })
      })
    })
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It ended in between.
  }
}
