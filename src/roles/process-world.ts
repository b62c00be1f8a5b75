import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import { terminalText } from '../cli/terminal-text.ts'
import type { LineReader, Terminal, World } from '../cli/world.ts'

/** The real world of a command: this process's streams, files, signals and network. */
export function processWorld(): World {
  return {
    clock: systemClock,
    env: process.env,
    // What models and nodes write comes out here; pipes get every byte of it. Only stderr moves the cursor itself.
    stdout: terminalOf(process.stdout, process.stdout.isTTY ? terminalText : (text) => text),
    stderr: terminalOf(process.stderr, (text) => text),
    stdinIsTty: process.stdin.isTTY === true,
    readStdin,
    openLineReader,
    fetch: (request) => fetch(request),
    readFile: (path) =>
      readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EACCES') return undefined
        throw error
      }),
    absolutePath: (path) => resolve(path),
    onInterrupt(listener) {
      process.on('SIGINT', listener)
      return () => void process.off('SIGINT', listener)
    },
    homeDir: homedir(),
  }
}

/**
 * Ends the process once everything written has left it. Without this, a role that failed half-way through its start
 * would live on, because of the sockets that it has open by then.
 */
export async function endProcess(exitCode: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((written) => stream.write('', () => written()))
  }
  process.exit(exitCode)
}

function terminalOf(stream: NodeJS.WriteStream, shown: (text: string) => string): Terminal {
  // A reader that has seen enough (`yard list | head`) is no fault of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  return {
    write: (text) => void stream.write(shown(text)),
    isTty: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 100
    },
  }
}

async function readStdin(maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    const buffer = Buffer.from(chunk)
    bytes += buffer.length
    if (bytes > maxBytes) throw new YardError('too_large', `stdin holds more than ${maxBytes} bytes`)
    chunks.push(buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Lines from the terminal, with editing and history by Node's readline. What is typed ahead waits its turn. */
function openLineReader(history: readonly string[]): LineReader {
  const reader = createInterface({
    input: process.stdin,
    output: process.stderr,
    history: [...history],
    historySize: 500,
  })
  const ahead: string[] = []
  let closed = false
  let waiting: ((answer: Asked) => void) | undefined
  const settle = (answer: Asked) => {
    const done = waiting
    waiting = undefined
    done?.(answer)
    return done !== undefined
  }
  reader.on('line', (line) => {
    if (!settle(line)) ahead.push(line)
  })
  reader.on('SIGINT', () => {
    // While an answer comes, Ctrl-C is for whoever writes it; readline would otherwise keep it to itself.
    if (!settle({ interrupted: true })) process.emit('SIGINT')
  })
  reader.once('close', () => {
    closed = true
    settle(undefined)
  })
  return {
    ask(prompt) {
      const line = ahead.shift()
      if (line !== undefined) return Promise.resolve(line)
      if (closed) return Promise.resolve(undefined)
      reader.setPrompt(prompt)
      reader.prompt()
      return new Promise((done) => {
        waiting = done
      })
    },
    close: () => reader.close(),
  }
}

type Asked = Awaited<ReturnType<LineReader['ask']>>
