import { CommanderError, Command as Parser } from 'commander'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Command, GlobalValues, Values } from './command.ts'
import { commands } from './commands/index.ts'
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts'
import { terminalText } from './terminal-text.ts'
import { parseDurationMs } from './units.ts'
import type { World } from './world.ts'

export interface RunOptions {
  readonly world: World
  readonly version: string
  /** Commands that other floors bring (roles, engines), beside the client's own. */
  readonly more: readonly Command[]
}

/** Runs one command line and resolves to its exit code. Never throws, never exits the process. */
export async function runYard(argv: readonly string[], options: RunOptions): Promise<number> {
  const { world } = options
  let exitCode = 0
  const [words, rest] = splitRest(argv)
  const program = new Parser('yard')
    .description('Control plane and data plane for self-hosted LLM inference')
    .version(options.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: (text) => world.stdout.write(text),
      writeErr: (text) => world.stderr.write(text),
      getOutHelpWidth: () => world.stdout.columns,
      getErrHelpWidth: () => world.stderr.columns,
    })
    .addHelpText('after', TOP_HELP)
  for (const command of [...options.more, ...commands]) {
    add(program, command, world, rest, (code) => {
      exitCode = code
    })
  }
  try {
    if (words.length === 0) {
      program.outputHelp()
      return 0
    }
    await program.parseAsync(['node', 'yard', ...words])
    return exitCode
  } catch (error) {
    return report(error, world, words.includes('--debug'))
  }
}

/** Splits at `--`: what follows belongs to the command, not to our parser. */
function splitRest(argv: readonly string[]): [readonly string[], readonly string[]] {
  const at = argv.indexOf('--')
  return at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)]
}

function add(
  program: Parser,
  command: Command,
  world: World,
  rest: readonly string[],
  done: (code: number) => void,
): void {
  let parent = program
  for (const word of command.path.slice(0, -1)) {
    parent =
      parent.commands.find((known) => known.name() === word) ??
      parent
        .command(word)
        .description(NOUNS[word] ?? word)
        .helpCommand(false)
  }
  const parser = parent.command(command.path.at(-1) ?? '', { hidden: command.hidden === true })
  parser.description(command.summary)
  if (command.details !== undefined)
    parser.addHelpText('before', '').description(`${command.summary}\n\n${command.details}`)
  for (const alias of command.aliases ?? []) parser.alias(alias)
  for (const argument of command.arguments ?? []) parser.argument(argument.syntax, argument.summary)
  for (const option of command.options ?? []) {
    if (option.many)
      parser.option(option.flags, option.summary, (value: string, all: string[] = []) => [...all, value])
    else parser.option(option.flags, option.summary)
  }
  if (!command.ownOptions) addGlobals(parser)
  const width = Math.max(...command.examples.map((example) => example.line.length), 0)
  if (command.examples.length > 0) {
    parser.addHelpText(
      'after',
      `\nExamples:\n${command.examples.map((example) => `  ${example.line.padEnd(width)}   ${example.does}`).join('\n')}`,
    )
  }
  parser.action(async (...received: unknown[]) => {
    const values = received.at(-2) as Values
    done(
      await command.run({
        world,
        globals: globalsOf(values),
        args: received.slice(0, -2).flat() as (string | undefined)[],
        rest,
        options: values,
      }),
    )
  })
}

function addGlobals(parser: Parser): void {
  parser
    .option('--server <url>', 'control API (YARD_SERVER; else the yard dev of this machine)')
    .option('--gateway <url>', 'OpenAI-compatible gateway (YARD_GATEWAY; else what the server says)')
    .option('--token-file <file>', 'file with the key to use, - for stdin (or YARD_TOKEN)')
    .option('--data-dir <dir>', 'data directory (YARD_DATA_DIR)')
    .option('-o, --output <format>', `${OUTPUT_FORMATS.join(' | ')}`)
    .option('--timeout <duration>', 'longest wait, such as 30s or 10m')
    .option('-q, --quiet', 'no notices on stderr, only errors')
    .option('--debug', 'show where an error came from')
}

function globalsOf(values: Values): GlobalValues {
  const text = (key: string) => (typeof values[key] === 'string' ? values[key] : undefined)
  const output = text('output') ?? 'table'
  if (!(OUTPUT_FORMATS as readonly string[]).includes(output)) {
    throw new YardError('usage', `-o takes ${OUTPUT_FORMATS.join(', ')}, not "${output}"`)
  }
  const timeout = text('timeout')
  return {
    server: text('server'),
    gateway: text('gateway'),
    tokenFile: text('tokenFile'),
    dataDir: text('dataDir'),
    output: output as OutputFormat,
    quiet: values.quiet === true,
    timeoutMs: timeout === undefined ? undefined : parseDurationMs(timeout, '--timeout'),
  }
}

/** Prints a fault as `error:`, `cause:`, `hint:` and gives its exit code. */
function report(error: unknown, world: World, debug: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (isYardError(error)) {
    const lines = [`error: ${error.message}`]
    if (error.reason !== undefined) lines.push(`reason: ${error.reason}`)
    if (error.cause !== undefined && debug) lines.push(`cause: ${errorText(error.cause)}`)
    if (error.hint !== undefined) lines.push(`hint: ${error.hint}`)
    if (typeof error.details?.requestId === 'string') lines.push(`request-id: ${error.details.requestId}`)
    if (debug && error.stack !== undefined) lines.push(error.stack)
    world.stderr.write(`${terminalText(lines.join('\n'))}\n`)
    return error.exitCode
  }
  if (error instanceof Error && error.name === 'AbortError') return 130
  world.stderr.write(
    `error: ${errorText(error)}\nthis is a bug in yard; please report it with the lines below\n${error instanceof Error ? error.stack : ''}\n`,
  )
  return 1
}

const NOUNS: Readonly<Record<string, string>> = {
  model: 'models: list, describe, delete, revisions',
  node: 'nodes: list, describe, cordon, uncordon, remove, join-token',
  key: 'API keys: create, list, revoke',
  engine: 'run a built-in engine by itself',
  'join-token': 'tokens with which machines register',
  replica: 'replicas: list, drain',
}

const TOP_HELP = `
Start here:
  yard dev                          control plane, gateway and one node on this machine
  yard load builtin:tiny            load a model and wait until it is ready
  yard chat tiny                    talk to it
  yard list                         what is loaded

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 unauthenticated, 5 forbidden, 6 conflict,
7 timed out, 8 unreachable, 9 partial, 10 nothing fits, 11 limited, 130 interrupted.`
