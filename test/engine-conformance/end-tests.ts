import { describe, expect, test } from 'vitest'
import { EngineProcess, takenPort, until } from './engine-process.ts'
import { type Live, READY_MS } from './live.ts'

/** An engine ends when told, leaves nothing behind, and says why when it ends by itself. */
export function endTests(live: Live): void {
  describe('end', () => {
    test(
      'idle, its stop policy ends it and nothing of its group is left',
      async () => {
        await using process = await live.started(live.subject.text)
        const exit = await process.stop()
        expect(live.subject.exits.idle, JSON.stringify(exit)).toContain(exit.code)
        await until(() => process.groupMembers().length === 0, 'the process group to be empty')
      },
      READY_MS,
    )

    test(
      'with a request in flight, its stop policy ends it too',
      async () => {
        const { text, long } = live.subject
        await using process = await live.started({ ...text, ...long.launch })
        const answer = process
          .fetch('/v1/chat/completions', {
            method: 'POST',
            body: JSON.stringify(live.askLong({ stream: true })),
          })
          .then((response) => response.text())
          .catch(() => 'broken off')
        const { metrics, readLoad } = live.subject.engine
        await until(async () => {
          const result = metrics && (await process.call(metrics))
          return result?.kind === 'answer' && readLoad(result.body).running === 1
        }, 'the request to run')
        const exit = await process.stop()
        await answer
        expect(live.subject.exits.busy, JSON.stringify(exit)).toContain(exit.code)
        await until(() => process.groupMembers().length === 0, 'the process group to be empty')
      },
      READY_MS,
    )

    test(
      'on a port that is taken it fails as port_in_use',
      async () => {
        const { server, port } = await takenPort()
        try {
          await using process = EngineProcess.start(live.subject.engine, { ...live.subject.text, port })
          const failure = live.subject.engine.classify(await process.exited, process.lines)
          expect(failure).toMatchObject({ reason: 'port_in_use', retryable: true })
          expect(failure.message).toMatch(/is taken by another process/)
        } finally {
          server.close()
        }
      },
      READY_MS,
    )

    test(
      'with a flag that it does not know it fails as bad_argument',
      async (context) => {
        live.needs(context, 'bad_argument')
        await using process = await live.start(live.subject.text, ['--no-such-flag'])
        expect(live.subject.engine.classify(await process.exited, process.lines)).toMatchObject({
          reason: 'bad_argument',
          retryable: false,
          message: expect.stringContaining('--no-such-flag'),
        })
      },
      READY_MS,
    )

    test(
      'a start that can not succeed is told by its cause',
      async (context) => {
        live.needs(context, 'broken')
        expect(live.subject.broken.length).toBeGreaterThan(0)
        for (const { what, launch, reason, message } of live.subject.broken) {
          await using process = await live.start(launch)
          const exit = await process.exited
          const failure = live.subject.engine.classify(exit, process.lines)
          expect(failure, `${what}: ${JSON.stringify(exit)}\n${process.lines.join('\n')}`).toMatchObject({
            reason,
            retryable: false,
            message: expect.stringMatching(message),
          })
          expect(failure.lastLines.join('\n')).not.toContain(launch.credential)
        }
      },
      READY_MS,
    )

    test(
      'killed by somebody else it is told as killed',
      async () => {
        await using process = await live.started(live.subject.text)
        process.signal('SIGKILL')
        expect(live.subject.engine.classify(await process.exited, process.lines)).toMatchObject({
          reason: 'killed',
          signal: 'SIGKILL',
          retryable: true,
        })
      },
      READY_MS,
    )
  })
}
