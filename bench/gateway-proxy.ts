import { createWriteStream } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { systemClock } from '../src/base/clock.ts'
import { hashSecret, parseKey } from '../src/base/key-format.ts'
import { batchLines } from '../src/base/line-batch.ts'
import { jsonLog } from '../src/base/log.ts'
import { createGateway } from '../src/gateway/gateway.ts'

const PEPPER = '5a'.repeat(32)

/**
 * Our gateway as a process of its own, with every duty on: keys, routing over two replicas, counts, histograms and
 * a log line for each request, which goes to a file in batches.
 */
export function serveProxy(port: number, upstreamPorts: readonly number[], keyText: string): void {
  const parsed = parseKey(keyText)
  if (parsed === undefined) throw new Error('the key is not well formed')
  const sink = createWriteStream('/dev/null')
  const lines = batchLines((bytes) => void sink.write(bytes), systemClock)
  const log = jsonLog((line) => lines.write(line), systemClock, { part: 'gateway' })
  const gateway = createGateway({
    control: { call: () => new Promise(() => {}) },
    clock: systemClock,
    random: Math.random,
    log,
    connect,
    connectTls,
    env: () => undefined,
  })
  gateway.applyView({
    revision: 1,
    planVersion: 1,
    pepper: PEPPER,
    models: [{ name: 'tiny', createdAtMs: 0, adapters: [], phase: 'ready' }],
    keys: [
      {
        id: parsed.id,
        name: 'bench',
        hash: hashSecret(PEPPER, parsed.secret),
        scopes: ['inference'],
        createdAtMs: 0,
      },
    ],
    endpoints: upstreamPorts.map((upstreamPort) => ({
      replica: `tiny-${upstreamPort}`,
      model: 'tiny',
      engine: 'vllm',
      address: { kind: 'node', agentUrl: 'http://127.0.0.1:7702', port: upstreamPort },
      adapters: [],
      state: 'ready',
      planVersion: 1,
      credential: 'bench-engine-credential',
    })),
  })
  const server = createServer(gateway.listener)
  server.keepAliveTimeout = 75_000
  server.requestTimeout = 0
  gateway.adopt(server)
  server.listen(port, '127.0.0.1')
  // An orderly exit, so that Node writes a profile when it was asked for one.
  process.once('SIGTERM', () => process.exit(0))
}
