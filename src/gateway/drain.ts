import type { Server } from 'node:http'
import type { Core } from './core.ts'

/** See `Gateway.drain`. */
export async function drain(
  core: Core,
  servers: ReadonlySet<Server>,
  options: { readonly graceMs: number; readonly deadlineMs: number },
): Promise<void> {
  core.state = 'failing'
  core.log.info('drain_started', { inFlight: core.inFlight.size, graceMs: options.graceMs })
  // Load balancers look at /readyz; until they have, requests still come and are served.
  await core.clock.sleep(options.graceMs)
  core.state = 'refusing'
  for (const server of servers) {
    server.close()
    server.closeIdleConnections()
  }
  await emptied(core, options.deadlineMs)
  const left = core.inFlight.all()
  for (const request of left) request.cutOff()
  core.log.info('drain_ended', { cutOff: left.length })
}

/** Resolves when nothing is in flight, or after `deadlineMs`. */
function emptied(core: Core, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    if (core.inFlight.size === 0) {
      resolve()
      return
    }
    const timer = core.clock.after(deadlineMs, resolve)
    core.onEmpty = () => {
      timer.cancel()
      resolve()
    }
  })
}
