import { availableParallelism } from 'node:os'
import { systemClock } from '../base/clock.ts'
import { jsonLog } from '../base/log.ts'
import { VERSION } from '../base/version.ts'

const USAGE = `usage: yard engine llama|sim [options]

  llama   llama.cpp behind an OpenAI-shaped server; see yard engine llama --help
  sim     a simulated vLLM with vLLM's flags; see yard engine sim --help
`

/** Runs a built-in engine as this process, with words of its own; resolves to the exit code. */
export async function runEngine(argv: readonly string[]): Promise<number> {
  const [name, ...words] = argv
  if (name === 'llama') return runLlama(words)
  if (name === 'sim') return runSim(words)
  const asked = name === '--help' || name === '-h'
  ;(asked ? process.stdout : process.stderr).write(
    asked ? USAGE : `there is no built-in engine "${name}"\n${USAGE}`,
  )
  return asked ? 0 : 2
}

async function runLlama(argv: readonly string[]): Promise<number> {
  const { LLAMA_USAGE, parseLlamaArgs } = await import('../builtin/llama/args.ts')
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(`${LLAMA_USAGE}\n`)
    return 0
  }
  const parsed = parseLlamaArgs(argv)
  if (parsed.kind === 'invalid') {
    process.stderr.write(`yard engine llama: ${parsed.message}\n\n${LLAMA_USAGE}\n`)
    return 2
  }
  const { runLlamaEngine } = await import('../builtin/llama/run.ts')
  const code = await runLlamaEngine(parsed.options, {
    clock: systemClock,
    log: jsonLog((line) => void process.stderr.write(line), systemClock, { part: 'llama' }),
    random: Math.random,
    key: process.env.YARD_ENGINE_KEY || undefined,
    version: VERSION,
    processors: availableParallelism(),
    // Knows of the limits of a container, which os.freemem() does not.
    availableMemoryBytes: () => process.availableMemory?.(),
    onStopSignal,
  })
  // llama.cpp's threads may outlive the last request; the contract with the supervisor is the exit code.
  process.exit(code)
}

async function runSim(argv: readonly string[]): Promise<number> {
  const { parseSimArgs } = await import('../builtin/sim/sim-args.ts')
  const parsed = parseSimArgs(argv, process.env)
  if (parsed.kind === 'help') {
    process.stdout.write(parsed.text)
    return 0
  }
  if (parsed.kind === 'error') {
    process.stderr.write(parsed.message)
    return parsed.exitCode
  }
  const { runSimEngine } = await import('../builtin/sim/run-sim-engine.ts')
  const shutdown = new AbortController()
  onStopSignal(() => shutdown.abort())
  const code = await runSimEngine(parsed.options, {
    clock: systemClock,
    writeLog: (line) => void process.stderr.write(line),
    shutdown: shutdown.signal,
    pid: process.pid,
    requestId: () => crypto.randomUUID().replaceAll('-', ''),
  })
  process.exit(code)
}

function onStopSignal(handler: (signal: 'SIGTERM' | 'SIGINT') => void): () => void {
  process.on('SIGTERM', handler)
  process.on('SIGINT', handler)
  return () => {
    process.off('SIGTERM', handler)
    process.off('SIGINT', handler)
  }
}
