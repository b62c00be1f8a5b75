import type { Failure } from '../domain/replica.ts'
import type { Exit } from './engine.ts'

/**
 * Every reason an engine can fail for: whether the same start may succeed later, and whether the device (or its
 * driver) is to blame, so that the replica should go to another. Part of the API; never renamed.
 */
export const FAILURE_REASONS = {
  out_of_memory: { retryable: false, deviceFault: false },
  out_of_host_memory: { retryable: false, deviceFault: false },
  /** Somebody else holds the device's memory; it may be given back. */
  device_busy: { retryable: true, deviceFault: false },
  /** Another process changed the device's memory while the engine measured it. */
  memory_race: { retryable: true, deviceFault: false },
  context_too_long: { retryable: false, deviceFault: false },
  port_in_use: { retryable: true, deviceFault: false },
  missing_file: { retryable: false, deviceFault: false },
  model_not_found: { retryable: false, deviceFault: false },
  access_denied: { retryable: false, deviceFault: false },
  download_failed: { retryable: true, deviceFault: false },
  disk_full: { retryable: false, deviceFault: false },
  invalid_model: { retryable: false, deviceFault: false },
  invalid_adapter: { retryable: false, deviceFault: false },
  unsupported_model: { retryable: false, deviceFault: false },
  unsupported_dtype: { retryable: false, deviceFault: false },
  unsupported_device: { retryable: false, deviceFault: false },
  unsupported_cpu: { retryable: false, deviceFault: false },
  bad_parallelism: { retryable: false, deviceFault: false },
  bad_argument: { retryable: false, deviceFault: false },
  collective_failed: { retryable: true, deviceFault: false },
  device_missing: { retryable: false, deviceFault: true },
  device_fault: { retryable: false, deviceFault: true },
  program_missing: { retryable: false, deviceFault: false },
  engine_failed: { retryable: true, deviceFault: false },
  crashed: { retryable: true, deviceFault: false },
  killed: { retryable: true, deviceFault: false },
  exited: { retryable: true, deviceFault: false },
} as const satisfies Record<string, { retryable: boolean; deviceFault: boolean }>

export type FailureReason = keyof typeof FAILURE_REASONS

/** One line of output that tells why. */
export interface FailureRule {
  readonly reason: FailureReason
  readonly pattern: RegExp
  /** What happened, with the numbers of the line, and what to do next. `groups` are the pattern's, '' when unset. */
  readonly message: (...groups: string[]) => string
  /**
   * Lines that engines also print beside better ones: `weak` ones may tell the cause, `summary` ones only that there
   * was one. They count when there is nothing better. Absent: the line tells the cause.
   */
  readonly evidence?: 'weak' | 'summary'
}

/** Why an engine ended, when its lines do not tell: by exit code. */
export type ExitCodeReasons = Readonly<Record<number, { reason: FailureReason; message: string }>>

const KEPT_LINES = 30
const KEPT_CHARS = 1_000
/** What is read of a line; causes stand at its beginning. */
const READ_CHARS = 4_000

/**
 * Why an engine ended. Its lines are searched from the newest to the oldest, because the cause is printed near the
 * end but the last line is mostly a summary; where no line tells, the exit code or signal does.
 */
export function classifyFailure(
  exit: Exit,
  lines: readonly string[],
  rules: readonly FailureRule[],
  exitCodes: ExitCodeReasons = {},
): Failure {
  const clean = lines.map(plainLine)
  const strong = findRule(clean, rules, undefined)
  const { reason, message } =
    strong ??
    findRule(clean, rules, 'weak') ??
    findRule(clean, rules, 'summary') ??
    fromExit(exit, exitCodes, clean)
  const { retryable, deviceFault } = FAILURE_REASONS[reason]
  return {
    reason,
    message,
    retryable,
    ...(deviceFault && { deviceFault }),
    ...(exit.code !== undefined && { exitCode: exit.code }),
    ...(exit.signal !== undefined && { signal: exit.signal }),
    lastLines: clean.slice(-KEPT_LINES).map((line) => line.slice(0, KEPT_CHARS)),
  }
}

/**
 * A line of an engine's output as it may be kept and shown: its first 4,000 characters, without terminal colours and
 * without the values of keys and tokens, which engines print when they list their arguments.
 */
export function plainLine(line: string): string {
  return line.slice(0, READ_CHARS).replace(ANSI, '').replace(SECRET, '$1$2***').trimEnd()
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal escapes begin with one.
const ANSI = /\u001b\[[0-9;]*[A-Za-z]/g
const SECRET =
  /((?:api[_-]?keys?|hf[_-]?token|authorization|credential)['"]?\s*[=:]\s*\[?)(['"]?)(?:Bearer\s+)?[^\s'",)\]]+/gi

interface Found {
  readonly reason: FailureReason
  readonly message: string
}

function findRule(
  lines: readonly string[],
  rules: readonly FailureRule[],
  evidence: FailureRule['evidence'],
): Found | undefined {
  const candidates = rules.filter((rule) => rule.evidence === evidence)
  for (let at = lines.length - 1; at >= 0; at--) {
    const line = lines[at] ?? ''
    for (const rule of candidates) {
      const match = rule.pattern.exec(line)
      if (match) {
        const groups = match.slice(1).map((group) => group ?? '')
        return { reason: rule.reason, message: rule.message(...groups).slice(0, KEPT_CHARS) }
      }
    }
  }
  return undefined
}

/** A shell's 128 + n and the signal itself mean the same. */
const SIGNAL_OF_CODE: Readonly<Record<number, string>> = {
  132: 'SIGILL',
  134: 'SIGABRT',
  135: 'SIGBUS',
  137: 'SIGKILL',
  139: 'SIGSEGV',
}

function fromExit(exit: Exit, exitCodes: ExitCodeReasons, lines: readonly string[]): Found {
  const signal = exit.signal ?? SIGNAL_OF_CODE[exit.code ?? 0]
  if (signal === 'SIGKILL') {
    return {
      reason: 'killed',
      message:
        'the engine was killed (SIGKILL); when nobody did it by hand, the kernel did because the machine ran out of memory: look for "oom-kill" in the kernel log, and give the model less concurrency or more resources.hostMemoryBytes',
    }
  }
  if (signal === 'SIGILL') {
    return {
      reason: 'unsupported_cpu',
      message:
        'the engine was stopped by an illegal instruction (SIGILL): this build is for another processor; install one for this machine',
    }
  }
  if (signal !== undefined && ['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGFPE'].includes(signal)) {
    return {
      reason: 'crashed',
      message: `the engine crashed (${signal}); its last lines may tell where; when it happens again, report it to the engine's makers`,
    }
  }
  if (signal !== undefined) return { reason: 'killed', message: `the engine was ended by ${signal}` }
  const known = exitCodes[exit.code ?? 0]
  if (known) return known
  if (exit.code === 126 || exit.code === 127) {
    return {
      reason: 'program_missing',
      message: `the engine's program could not be run (exit code ${exit.code}); install it on this node`,
    }
  }
  return exit.code === undefined
    ? { reason: 'exited', message: `the engine is gone and left no exit code; ${lastWords(lines)}` }
    : { reason: 'exited', message: `the engine ended with exit code ${exit.code}; ${lastWords(lines)}` }
}

const LAST_WORDS_CHARS = 200

function lastWords(lines: readonly string[]): string {
  const last = lines.findLast((line) => line.trim() !== '')?.trim()
  return last === undefined
    ? 'it wrote nothing'
    : `its last line: ${last.length > LAST_WORDS_CHARS ? `${last.slice(0, LAST_WORDS_CHARS)}…` : last}`
}
