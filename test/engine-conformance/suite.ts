import { afterAll, beforeAll, describe, test } from 'vitest'
import { adapterTests } from './adapter-tests.ts'
import { endTests } from './end-tests.ts'
import { Live, READY_MS } from './live.ts'
import { loadTests } from './load-tests.ts'
import { poolingTests } from './pooling-tests.ts'
import { startTests } from './start-tests.ts'
import type { EngineUnderTest } from './subject.ts'
import { textTests } from './text-tests.ts'

/**
 * What every engine must do for the agent and the gateway, tried on a running process that the adapter's own command
 * started. `open` prepares files, or says why the engine can't be tried here.
 */
export function engineConformance(name: string, open: () => Promise<EngineUnderTest> | string): void {
  const opened = open()
  if (typeof opened === 'string') {
    describe.skip(`${name}: not tried, ${opened}`, () => {
      test('conformance', () => {})
    })
    return
  }
  describe(`${name} conforms`, () => {
    const live = new Live()
    beforeAll(async () => live.open(await opened), READY_MS)
    afterAll(() => live.close())
    startTests(live)
    textTests(live)
    loadTests(live)
    poolingTests(live)
    adapterTests(live)
    endTests(live)
  })
}
