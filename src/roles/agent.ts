import type { Invocation } from '../cli/command.ts'
import { parsePairs } from '../cli/units.ts'
import { makeAgent } from './agent-parts.ts'
import { checkAgentUrl } from './agent-url.ts'
import { prepareDataDir } from './data-dir.ts'
import { listen, parseListen } from './listen.ts'
import { readJoinToken, remoteControl } from './remote-control.ts'
import { AGENT_OPTIONS } from './role-options.ts'
import { dataDirOf, enginePortsOf, machineName, onStopSignals, roleLog, tlsOf } from './role-process.ts'
import { readSettings } from './settings.ts'

/**
 * `yard agent`: one node. A stop signal ends the agent and leaves its engines running, so that it can be upgraded;
 * the next start adopts them.
 */
export async function runAgentRole(invocation: Invocation): Promise<number> {
  const settings = await readSettings(invocation, AGENT_OPTIONS)
  const control = remoteControl(settings)
  const log = roleLog(settings, 'agent')
  const at = parseListen(settings.text('listen') ?? '127.0.0.1:7702', '--listen')
  const advertised = settings.text('advertise')?.replace(/\/+$/, '')
  checkAgentUrl({ server: control.baseUrl, listen: at, advertised })
  const dataDir = dataDirOf(settings, invocation.world)
  await prepareDataDir(dataDir)
  let url = advertised ?? ''
  const { agent, close } = await makeAgent({
    control,
    dataDir,
    log,
    name: machineName(settings),
    labels: parsePairs(settings.all('label'), '--label'),
    agentUrl: () => url,
    enginePorts: enginePortsOf(settings),
    allowCommand: settings.flag('allow-command'),
    joinToken: () => readJoinToken(settings),
  })
  const listening = await listen(agent.listener, at, {
    ...tlsOf(settings),
    insecure: settings.flag('insecure'),
    flag: '--listen',
  })
  if (advertised === undefined) url = listening.url
  log.info('agent_listening', { url: listening.url, advertised: url })
  const stop = new AbortController()
  onStopSignals((count) => {
    if (count > 1) process.exit(130)
    log.info('agent_stopping')
    stop.abort()
  })
  try {
    await agent.run(stop.signal)
  } finally {
    listening.server.closeAllConnections()
    await listening.close()
    await close()
  }
  return 0
}
