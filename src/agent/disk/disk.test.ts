import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { anAssignment } from '../agent.testing.ts'
import type { ProcessRow, ProcessTable } from '../processes/process-table.ts'
import type { ReplicaRecord } from './agent-disk.ts'
import { lockDir } from './dir-lock.ts'
import { openFileDisk } from './file-disk.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'yard-disk-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

function aRecord(replica: string): ReplicaRecord {
  return {
    assignment: anAssignment({ replica }),
    phase: 'ready',
    sinceMs: 1,
    restarts: 2,
    restartedAtMs: [1, 2],
    adapters: ['pirate'],
    run: { id: 'run', logPath: '/l', startedAtMs: 1, process: { pid: 7, start: '70', bootId: 'b' } },
  }
}

describe('what an agent remembers', () => {
  test('is there for the next one, readable by its user only', async () => {
    const disk = await openFileDisk(dir, silentLog)
    expect(await disk.identity()).toBeUndefined()
    await disk.saveIdentity({ agentId: 'a', registered: { name: 'n', key: 'secret' } })
    await disk.saveRecord(aRecord('r.1'))
    await disk.saveRecord(aRecord('../../escape'))
    const again = await openFileDisk(dir, silentLog)
    expect(await again.identity()).toEqual({ agentId: 'a', registered: { name: 'n', key: 'secret' } })
    expect((await again.records()).map((record) => record.assignment.replica).sort()).toEqual([
      '../../escape',
      'r.1',
    ])
    expect((await again.records()).find((record) => record.assignment.replica === 'r.1')).toEqual(
      aRecord('r.1'),
    )
    for (const path of ['identity.json', 'replicas/r.1.json']) {
      expect((await stat(join(dir, path))).mode & 0o777).toBe(0o600)
    }
    for (const path of ['.', 'replicas', 'work', 'cache']) {
      expect((await stat(join(dir, path))).mode & 0o777).toBe(0o700)
    }
  })

  test('is forgotten on request, with its working directory', async () => {
    const disk = await openFileDisk(dir, silentLog)
    await disk.saveRecord(aRecord('r'))
    await writeFile(join(await disk.workDir('r'), 'core'), 'x')
    expect(await readdir(await disk.workDir('r'))).toEqual([])
    await disk.removeRecord('r')
    expect(await disk.records()).toEqual([])
    expect(await readdir(join(dir, 'work'))).toEqual([])
    await disk.removeRecord('never there')
  })

  test('survives a write that was broken off', async () => {
    const disk = await openFileDisk(dir, silentLog)
    await disk.saveRecord(aRecord('r'))
    await writeFile(join(dir, 'replicas', 'r.json.new'), '{"half')
    expect(await disk.records()).toHaveLength(1)
    await disk.saveRecord({ ...aRecord('r'), restarts: 3 })
    expect((await disk.records())[0]?.restarts).toBe(3)
  })

  test('a record that can’t be read is put aside, the others are used', async () => {
    const disk = await openFileDisk(dir, silentLog)
    await disk.saveRecord(aRecord('good'))
    await writeFile(join(dir, 'replicas', 'bad.json'), 'not json')
    await writeFile(join(dir, 'replicas', 'old.json'), '{"phase":"unknown"}')
    expect((await disk.records()).map((record) => record.assignment.replica)).toEqual(['good'])
    expect((await readdir(join(dir, 'replicas'))).sort()).toEqual([
      'bad.json.broken',
      'good.json',
      'old.json.broken',
    ])
  })

  test('a damaged identity is said, not replaced: the node would be another one', async () => {
    const disk = await openFileDisk(dir, silentLog)
    await writeFile(join(dir, 'identity.json'), '{')
    await expect(disk.identity()).rejects.toMatchObject({ code: 'data_dir_unusable' })
  })

  test('of a newer version is left alone', async () => {
    await openFileDisk(dir, silentLog)
    await writeFile(join(dir, 'format.json'), '{"format": 99}')
    await expect(openFileDisk(dir, silentLog)).rejects.toMatchObject({ code: 'data_dir_newer' })
  })

  test('a directory that can’t be made says what to do', async () => {
    await writeFile(join(dir, 'file'), '')
    await expect(openFileDisk(join(dir, 'file', 'agent'), silentLog)).rejects.toMatchObject({
      code: 'data_dir_unusable',
      hint: expect.stringContaining('--data-dir'),
    })
  })
})

function tableOf(rows: readonly ProcessRow[], bootId = 'b'): ProcessTable {
  return {
    bootId: async () => bootId,
    row: async (pid) => rows.find((row) => row.pid === pid),
    rows: async () => rows,
    environment: async () => new Map(),
    writesTo: async () => false,
  }
}

describe('one agent at a time', () => {
  const rows = [
    { pid: 1, group: 1, start: '10', ended: false },
    { pid: 2, group: 2, start: '20', ended: false },
  ]

  const lock = (pid: number, table: ProcessTable) => lockDir(dir, { pid, table, clock: systemClock })

  test.each([
    [1, 2],
    [2, 1],
  ])(
    '%i holds it: %i is refused while that one lives, and let in when it has gone',
    async (first, second) => {
      const release = await lock(first, tableOf(rows))
      await expect(lock(second, tableOf(rows))).rejects.toMatchObject({
        code: 'data_dir_unusable',
        message: expect.stringContaining(`process ${first}`),
      })
      await release()
      await lock(second, tableOf(rows))
      expect(await readdir(dir)).toEqual([`lock.${second}`])
    },
  )

  test.each([
    ['a process that is gone', tableOf(rows.slice(1))],
    [
      'a number that another process has got',
      tableOf([{ ...(rows[0] as ProcessRow), start: '11' }, ...rows.slice(1)]),
    ],
    ['an earlier boot', tableOf(rows, 'another boot')],
  ])('a claim of %s does not count', async (_what, table) => {
    await lock(1, tableOf(rows))
    await lock(2, table)
    expect(await readdir(dir)).toEqual(['lock.2'])
  })

  test('of many that start together one wins', async () => {
    const many = Array.from({ length: 8 }, (_, index) => ({
      pid: 10 + index,
      group: 1,
      start: '1',
      ended: false,
    }))
    await writeFile(join(dir, 'lock.999'), 'b 1\n')
    const results = await Promise.allSettled(many.map(({ pid }) => lock(pid, tableOf(many))))
    expect(results.map((result) => result.status)).toEqual(['fulfilled', ...Array(7).fill('rejected')])
  })
})
