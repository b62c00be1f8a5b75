import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { systemFiles } from '../devices/system-files.ts'
import { inheritedEnvironment } from './engine-environment.ts'
import { procProcessTable } from './proc-process-table.ts'
import { processExec } from './process-exec.ts'
import { processSpawner } from './process-spawner.ts'
import { parseProcStat, parsePs, psProcessTable } from './process-table.ts'
import { findProgramOn } from './programs.ts'
import type { EngineRun } from './spawner.ts'

const table = procProcessTable()
const spawner = processSpawner({ table, files: systemFiles })
let dir = ''
let runs: EngineRun[] = []

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'yard-proc-'))
  runs = []
})
afterEach(async () => {
  for (const run of runs) await spawner.signal(run, 'SIGKILL')
  await rm(dir, { recursive: true, force: true })
})

async function start(script: string, more: { agentId?: string; env?: Record<string, string> } = {}) {
  const id = randomUUID()
  const logPath = join(dir, `${id}.log`)
  const result = await spawner.spawn({
    runId: id,
    replica: 'r1',
    agentId: more.agentId ?? 'agent-1',
    command: { file: process.execPath, argv: ['-e', script], env: more.env ?? {} },
    inherited: { PATH: process.env.PATH ?? '' },
    workDir: dir,
    logPath,
  })
  if (result.kind !== 'started') throw new Error(result.message)
  const run: EngineRun = { id, logPath, process: result.process }
  runs.push(run)
  return { run, exited: result.exited, process: result.process, log: () => readFile(logPath, 'utf8') }
}

const FOREVER = 'setInterval(() => {}, 1000)'

describe('an engine’s process', () => {
  test('writes both streams to its log and tells how it ended', async () => {
    const { exited, log } = await start('console.log("out"); console.error("err"); process.exitCode = 3')
    expect(await exited).toEqual({ code: 3 })
    expect((await log()).split('\n').sort()).toEqual(['', 'err', 'out'])
  })

  test('sees what it may see of the environment, its own settings and the marks, and nothing else', async () => {
    const { exited, log } = await start('console.log(JSON.stringify(process.env))', {
      env: { VLLM_API_KEY: 'x' },
    })
    await exited
    expect(Object.keys(JSON.parse(await log())).sort()).toEqual([
      'PATH',
      'VLLM_API_KEY',
      'YARD_AGENT_ID',
      'YARD_REPLICA',
      'YARD_RUN',
    ])
  })

  test('arguments reach it as they are: there is no shell', async () => {
    const run = await spawner.spawn({
      runId: 'x',
      replica: 'r1',
      agentId: 'a',
      command: { file: '/bin/echo', argv: ['$(id)', '; rm -rf /', '*'], env: {} },
      inherited: {},
      workDir: dir,
      logPath: join(dir, 'echo.log'),
    })
    if (run.kind === 'started') await run.exited
    expect(await readFile(join(dir, 'echo.log'), 'utf8')).toBe('$(id) ; rm -rf / *\n')
  })

  test('leads a group of its own that is found, signalled and seen to be gone as a whole', async () => {
    const child = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(FOREVER)}], { stdio: 'ignore' })`
    const { run, exited, process: id } = await start(`${child}; ${FOREVER}`)
    await vi.waitFor(async () => expect(await spawner.members(run)).toHaveLength(2))
    expect(await spawner.isAlive(id)).toBe(true)
    await spawner.signal(run, 'SIGTERM')
    expect(await exited).toEqual({ signal: 'SIGTERM' })
    await vi.waitFor(async () => expect(await spawner.members(run)).toEqual([]))
    expect(await spawner.isAlive(id)).toBe(false)
  })

  test('leaves children behind that are still found, in the group or out of it, when it dies first', async () => {
    const stay = (detached: boolean) =>
      `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(FOREVER)}], { stdio: 'ignore', detached: ${detached} }).unref()`
    const { run, exited } = await start(
      `${stay(false)}; ${stay(true)}; setTimeout(() => process.exit(0), 50)`,
    )
    await exited
    await vi.waitFor(async () => expect(await spawner.members(run)).toHaveLength(2))
    await spawner.signal(run, 'SIGKILL')
    await vi.waitFor(async () => expect(await spawner.members(run)).toEqual([]))
  })

  test('is still known by its log when it has overwritten its environment', async () => {
    const child = `require('child_process').spawn('/usr/bin/env', ['-i', process.execPath, '-e', ${JSON.stringify(FOREVER)}], { stdio: ['ignore', 1, 2] }).unref()`
    const { run, exited } = await start(`${child}; setTimeout(() => process.exit(0), 50)`)
    await exited
    await vi.waitFor(async () => expect(await spawner.members(run)).toHaveLength(1))
  })

  test('a stranger that got its number is not touched', async () => {
    const stranger = spawn(process.execPath, ['-e', FOREVER], { stdio: 'ignore', detached: true })
    await new Promise((resolve) => stranger.once('spawn', resolve))
    const pid = stranger.pid as number
    const start = (await table.row(pid))?.start as string
    const bootId = await table.bootId()
    const logPath = join(dir, 'none.log')
    for (const process of [
      { pid, start: `${Number(start) - 1}`, bootId },
      { pid, start, bootId: 'an earlier boot' },
    ]) {
      const run: EngineRun = { id: 'not-its-run', logPath, process }
      expect(await spawner.isAlive(process)).toBe(false)
      expect(await spawner.members(run)).toEqual([])
      await spawner.signal(run, 'SIGKILL')
    }
    expect((await table.row(pid))?.ended).toBe(false)
    stranger.kill('SIGKILL')
  })

  test('is found by an agent that lost its record', async () => {
    const agentId = randomUUID()
    const { run, process: id } = await start(FOREVER, { agentId })
    await vi.waitFor(async () =>
      expect(await spawner.find(agentId)).toEqual([{ runId: run.id, replica: 'r1', process: id }]),
    )
    expect(await spawner.find('another agent')).toEqual([])
  })

  test('that has ended but was not reaped is not alive', async () => {
    // The shell starts a child and becomes a program that never waits for it.
    const parent = spawn('/bin/sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const pid = Number(
      await new Promise((resolve) => parent.stdout.once('data', (chunk) => resolve(String(chunk)))),
    )
    await vi.waitFor(async () => expect((await table.row(pid))?.ended).toBe(true))
    const row = await table.row(pid)
    expect(await spawner.isAlive({ pid, start: row?.start ?? '', bootId: await table.bootId() })).toBe(false)
    parent.kill('SIGKILL')
  })

  test.each([
    ['/no/such/program', 'program_missing'],
    ['no-such-program-anywhere', 'program_missing'],
    ['./plain-file', 'not_executable'],
  ])('%s can’t be started: %s', async (file, reason) => {
    await writeFile(join(dir, 'plain-file'), '')
    const result = await spawner.spawn({
      runId: 'x',
      replica: 'r',
      agentId: 'a',
      command: { file, argv: [], env: {} },
      inherited: { PATH: '/usr/bin:/bin' },
      workDir: dir,
      logPath: join(dir, 'x.log'),
    })
    expect(result).toMatchObject({ kind: 'failed', reason })
  })
})

describe('the inherited environment', () => {
  test('is an allow-list', () => {
    expect(
      inheritedEnvironment({
        PATH: '/bin',
        HF_TOKEN: 't',
        LC_ALL: 'C',
        LD_PRELOAD: 'x',
        LD_LIBRARY_PATH: 'x',
        PYTHONPATH: 'x',
        NODE_OPTIONS: 'x',
        YARD_TOKEN: 'x',
        AWS_SECRET_ACCESS_KEY: 'x',
        HOME: undefined,
      }),
    ).toEqual({ PATH: '/bin', HF_TOKEN: 't', LC_ALL: 'C' })
  })
})

describe('reading the process table', () => {
  test('a program’s name may hold anything', () => {
    const tail = 'S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1000 10 18446744073709551615'
    expect(parseProcStat(`42 (a) b (c)) ${tail}`)).toEqual({
      pid: 42,
      group: 77,
      start: '123456',
      ended: false,
    })
    expect(parseProcStat(`42 (x) ${tail.replace('S', 'Z')}`)?.ended).toBe(true)
  })

  test('arbitrary text never throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseProcStat(text)
        parsePs(text)
      }),
    )
  })

  test('ps serves where there is no /proc', async () => {
    const out = '    1     1 Ss   Mon Nov 23 04:19:00 2026\n  812   812 Z+   Mon Nov 23 04:20:01 2026\n'
    const ps = psProcessTable(async () => ({ kind: 'exited', code: 0, stdout: out, stderr: '' }))
    expect(await ps.row(812)).toEqual({
      pid: 812,
      group: 812,
      start: 'Mon Nov 23 04:20:01 2026',
      ended: true,
    })
    expect(await ps.rows()).toHaveLength(2)
  })
})

describe('running a tool', () => {
  const exec = processExec({ clock: systemClock, env: { PATH: process.env.PATH } })

  test('gives its output and exit code, in the C locale', async () => {
    expect(await exec('/bin/sh', ['-c', 'echo $LC_ALL; echo no >&2; exit 6'], 5_000)).toEqual({
      kind: 'exited',
      code: 6,
      stdout: 'C\n',
      stderr: 'no\n',
    })
  })

  test('a missing one is told apart from a failing one', async () => {
    expect(await exec('no-such-tool-here', [], 5_000)).toEqual({ kind: 'missing' })
    expect(await exec('/bin/sh', ['-c', 'kill -9 $$'], 5_000)).toMatchObject({ kind: 'failed' })
  })

  test('one that hangs is ended at its deadline, with what it started', async () => {
    const pidFile = join(dir, 'pid')
    const result = await exec('/bin/sh', ['-c', `sleep 300 & echo $! > ${pidFile}; wait`], 300)
    expect(result.kind).toBe('timeout')
    const pid = Number(await readFile(pidFile, 'utf8'))
    await vi.waitFor(async () => expect((await table.row(pid))?.ended ?? true).toBe(true))
  })

  test('a flood of output is bounded', async () => {
    const result = await exec('/bin/sh', ['-c', 'head -c 20000000 /dev/zero'], 10_000)
    expect(result.kind === 'exited' && result.stdout.length).toBeLessThanOrEqual(8 * 1024 * 1024)
  })
})

describe('looking for a program', () => {
  test('needs a file that may be run, in a directory of the search path', async () => {
    await writeFile(join(dir, 'tool'), '#!/bin/sh\n')
    const find = findProgramOn({ PATH: `relative:${dir}` })
    expect(await find('tool')).toBeUndefined()
    await chmod(join(dir, 'tool'), 0o755)
    expect(await find('tool')).toBe(join(dir, 'tool'))
    expect(await find(dir)).toBeUndefined()
    expect(await find(join(dir, 'tool'))).toBe(join(dir, 'tool'))
  })
})
