import type { Endpoint } from '../domain/replica.ts'
import type { UpstreamTarget } from './upstream.ts'

/**
 * Where requests for an endpoint go: to its port when the engine runs on this machine, through its agent's proxy
 * otherwise, or to somebody else's service. Undefined when the address can't be used.
 */
export function compileTarget(
  endpoint: Endpoint,
  credential: string | undefined,
  env: (name: string) => string | undefined,
): UpstreamTarget | undefined {
  const { address } = endpoint
  if (address.kind === 'external') {
    const key = address.keyEnv === undefined ? undefined : env(address.keyEnv)
    const url = parsed(address.url)
    return url && targetAt(endpoint.replica, url, pathOf(url) || '/v1', key, address.model)
  }
  const agent = parsed(address.agentUrl)
  if (agent === undefined) return undefined
  if (isLoopback(agent.hostname)) {
    return targetAt(
      endpoint.replica,
      new URL(`http://127.0.0.1:${address.port}`),
      '/v1',
      credential,
      undefined,
    )
  }
  const basePath = `${pathOf(agent)}/engines/${encodeURIComponent(endpoint.replica)}/v1`
  return targetAt(endpoint.replica, agent, basePath, credential, undefined)
}

function targetAt(
  replica: string,
  url: URL,
  basePath: string,
  credential: string | undefined,
  model: string | undefined,
): UpstreamTarget {
  const tls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  // A credential with anything but visible ASCII could end its header line.
  const authorization =
    credential !== undefined && /^[\x21-\x7e]+$/.test(credential)
      ? `authorization: Bearer ${credential}\r\n`
      : ''
  return {
    replica,
    host,
    port,
    tls,
    address: `${tls ? 'tls' : 'tcp'} ${host} ${port}`,
    basePath,
    fixedHead: `host: ${url.host}\r\n${authorization}content-type: application/json\r\naccept-encoding: identity\r\nuser-agent: yardmaster\r\n`,
    model,
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

function pathOf(url: URL): string {
  return url.pathname.replace(/\/+$/, '')
}

function parsed(url: string): URL | undefined {
  try {
    const at = new URL(url)
    return at.protocol === 'http:' || at.protocol === 'https:' ? at : undefined
  } catch {
    return undefined
  }
}
