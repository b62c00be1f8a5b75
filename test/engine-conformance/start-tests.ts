import { describe, expect, test } from 'vitest'
import type { Live } from './live.ts'

/** An engine starts, says so, and lets nobody in without its key. */
export function startTests(live: Live): void {
  describe('start', () => {
    test('it is loading, then ready, by its own probe', () => {
      const before = live.verdicts.slice(0, -1)
      expect(before.every((verdict) => verdict === 'loading')).toBe(true)
      if (live.subject.loadsSlowly) expect(before).not.toEqual([])
      expect(live.verdicts.at(-1)).toBe('ready')
    })

    test('it is alive by its own probe', async () => {
      expect(live.subject.engine.readLiveness(await live.engine.call(live.subject.engine.liveness))).toBe(
        'ready',
      )
    })

    test('its output tells that it started', (context) => {
      live.needs(context, 'progress')
      const steps = live.engine.lines.flatMap((line) => live.subject.engine.progress(line) ?? [])
      expect(steps.at(-1)?.fraction).toBe(1)
    })

    test('it tells its version', async (context) => {
      live.needs(context, 'version')
      const { version } = live.subject.engine
      expect(version?.read(await live.engine.call(version.call))).toMatch(/\S/)
    })

    test('its key is not on its command line, and is asked for', async () => {
      expect(live.engine.commandLine()).not.toContain(live.subject.text.credential)
      for (const key of [undefined, 'sk-wrong']) {
        const response = await live.engine.fetch('/v1/models', { key })
        expect(response.status).toBe(401)
        await response.body?.cancel()
      }
    })
  })
}
