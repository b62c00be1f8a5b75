import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeJournal, encodeBatch, encodeState } from './journal-format.ts'
import { DEFAULT_HISTORY, type Effect, Keyspace } from './keyspace.ts'

const GENERATION = 7

test('state and batches come back as the keyspace that wrote them', () => {
  const { bytes, states } = sample()
  expect(decode(bytes)).toEqual({ kind: 'ok', state: states.at(-1), tornBytes: 0 })
})

test('a file cut at any byte holds exactly the batches that were whole, and says how much was torn', () => {
  const { bytes, lineEnds, states } = sample()
  const stateEnd = lineEnds[0]!
  for (let cut = stateEnd; cut <= bytes.length; cut++) {
    const whole = lineEnds.findLastIndex((end) => end <= cut)
    const expected = { kind: 'ok', state: states[whole], tornBytes: cut - lineEnds[whole]! }
    expect(decode(bytes.subarray(0, cut))).toEqual(expected)
  }
})

test('a file cut inside the state that it begins with is damaged: it is on disk before it has its name', () => {
  const { bytes, lineEnds } = sample()
  for (let cut = 0; cut < lineEnds[0]!; cut++) expect(decode(bytes.subarray(0, cut)).kind).toBe('damaged')
})

test('any byte of the last batch changed, the batch is dropped and those before it are kept', () => {
  const { bytes, lineEnds, states } = sample()
  const start = lineEnds.at(-2)!
  for (let at = start; at < bytes.length; at++) {
    const bad = Buffer.from(bytes)
    bad[at] = bad[at]! ^ 0x01
    expect(decode(bad)).toEqual({ kind: 'ok', state: states.at(-2), tornBytes: bytes.length - start })
  }
})

test('a tail of zeros or of garbage, as a file system may leave after power loss, is dropped', () => {
  const { bytes, states } = sample()
  for (const tail of [
    Buffer.alloc(4096),
    Buffer.from('\n\n\n'),
    Buffer.from('00000000 []\nabc\n{"x":1}\n'),
  ]) {
    const decoded = decode(Buffer.concat([bytes, tail]))
    expect(decoded).toEqual({ kind: 'ok', state: states.at(-1), tornBytes: tail.length })
  }
})

test('any byte changed before the last batch is damage, which is refused and not guessed at', () => {
  const { bytes, lineEnds } = sample()
  // The newline before the last batch joins it to the batch before: those two look like one torn write.
  const unknowable = lineEnds.at(-2)! - 1
  for (let at = 0; at < unknowable; at++) {
    const bad = Buffer.from(bytes)
    bad[at] = bad[at]! ^ 0x01
    expect(decode(bad).kind).toBe('damaged')
  }
})

test('lines of another generation of the file do not pass for lines of this one', () => {
  const { bytes, states } = sample()
  const old = Buffer.from(
    encodeBatch([JSON.stringify({ kind: 'grant', leaseId: '9', ttlMs: 1 })], GENERATION - 1),
  )
  const decoded = decode(Buffer.concat([bytes, old]))
  expect(decoded).toEqual({ kind: 'ok', state: states.at(-1), tornBytes: old.length })
})

test('effects that do not follow from the state are damage', () => {
  const { bytes } = sample()
  const gap = JSON.stringify({ kind: 'change', revision: 99, ops: [{ kind: 'put', key: 'a', value: '' }] })
  const decoded = decode(Buffer.concat([bytes, Buffer.from(encodeBatch([gap], GENERATION))]))
  expect(decoded).toMatchObject({ kind: 'damaged', why: expect.stringContaining('revision 99') })
})

describe('for any text', () => {
  test('keys and values survive, newlines and all', () => {
    const text = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { minLength: 1 }), (pairs) => {
        const keyspace = new Keyspace()
        const lines = [...encodeState(keyspace.state(), GENERATION)]
        for (const [key, value] of pairs) {
          const { effect } = keyspace.decideTxn([], [{ kind: 'put', key, value }])
          keyspace.apply(effect!)
          lines.push(encodeBatch([JSON.stringify(effect)], GENERATION))
        }
        expect(decode(Buffer.from(lines.join('')))).toEqual({
          kind: 'ok',
          state: keyspace.state(),
          tornBytes: 0,
        })
        const again = Buffer.from([...encodeState(keyspace.state(), 8)].join(''))
        expect(decode(again, 8)).toEqual({ kind: 'ok', state: keyspace.state(), tornBytes: 0 })
      }),
    )
  })
})

/** A file of a state (line end 0) and some batches, and the state of the keyspace after each. */
function sample() {
  const keyspace = new Keyspace()
  const run = (effect: Effect | undefined) => {
    keyspace.apply(effect!)
    return JSON.stringify(effect)
  }
  const put = (key: string, leaseId?: string) =>
    run(
      keyspace.decideTxn([], [{ kind: 'put', key, value: `${key}\n"火"`, ...(leaseId && { leaseId }) }])
        .effect,
    )
  put('/a')
  put('/b')
  run(keyspace.decideGrant(5_000))
  put('/l', '1')
  const chunks = [[...encodeState(keyspace.state(), GENERATION)].join('')]
  const states = [keyspace.state()]
  const batch = (...effects: string[]) => {
    chunks.push(encodeBatch(effects, GENERATION))
    states.push(keyspace.state())
  }
  batch(put('/c'))
  batch(run(keyspace.decideGrant(1_000)), put('/m', '2'), put('/n', '2'))
  batch(run(keyspace.decideTxn([], [{ kind: 'delete', key: '/a' }]).effect))
  batch(run(keyspace.decideEnd('2')), run(keyspace.decideCompact(4)))
  batch(put('/d'))
  const lineEnds: number[] = []
  for (const chunk of chunks) lineEnds.push((lineEnds.at(-1) ?? 0) + Buffer.byteLength(chunk))
  return { bytes: Buffer.from(chunks.join('')), lineEnds, states }
}

function decode(bytes: Buffer, generation = GENERATION) {
  const decoded = decodeJournal(bytes, generation, DEFAULT_HISTORY)
  if (decoded.kind === 'damaged') return decoded
  return { kind: decoded.kind, state: decoded.keyspace.state(), tornBytes: decoded.tornBytes }
}
