import { expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { jsonLog, type LogLevel } from './log.ts'

function openLog(level?: LogLevel) {
  const lines: string[] = []
  const options = level === undefined ? { part: 'dev' } : { part: 'dev', level }
  return { lines, log: jsonLog((line) => lines.push(line), new FakeClock(0), options) }
}

it('writes one JSON object a line, whatever the fields hold', () => {
  const { log, lines } = openLog()
  log.with({ node: 'a"\n\u2028' }).info('begun', { n: Number.NaN, ok: true, nothing: undefined })
  expect(lines[0]).toMatch(/^[^\n]*\n$/)
  expect(JSON.parse(lines[0] ?? '')).toEqual({
    time: '1970-01-01T00:00:00.000Z',
    level: 'info',
    part: 'dev',
    event: 'begun',
    node: 'a"\n\u2028',
    n: null,
    ok: true,
  })
})

it('leaves out what is below its level', () => {
  const { log, lines } = openLog('warn')
  log.info('a')
  log.warn('b')
  expect(lines).toHaveLength(1)
})

it('names one part in each line: the one that was said last', () => {
  const { log, lines } = openLog()
  log.with({ part: 'gateway' }).with({ n: 1 }).info('begun')
  expect(lines[0]?.match(/"part"/g)).toHaveLength(1)
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ part: 'gateway', n: 1 })
})
