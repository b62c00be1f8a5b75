import { YardError } from '../base/errors.ts'
import { isLoopback, type ListenAt } from './listen.ts'

/**
 * Checks that control and gateways will be told an address at which they reach this agent: the one advertised, or else
 * the one listened at. To a server elsewhere a loopback address would name the server's own machine, and requests
 * with their credentials would go to whatever listens there. Fault: `usage`.
 */
export function checkAgentUrl(asked: {
  readonly server: string
  readonly listen: ListenAt
  readonly advertised: string | undefined
}): void {
  const { server, listen, advertised } = asked
  if (advertised !== undefined) {
    const url = URL.canParse(advertised) ? new URL(advertised) : undefined
    if (
      !url ||
      !/^https?:$/.test(url.protocol) ||
      url.origin !== advertised.toLowerCase().replace(/\/+$/, '')
    ) {
      throw new YardError('usage', `--advertise takes a URL, not "${advertised}"`, {
        hint: 'for example --advertise https://10.0.0.7:7702',
      })
    }
    return
  }
  if (isLoopback(new URL(server).hostname.replace(/^\[|\]$/g, ''))) return
  const { host, port } = listen
  const isAny = host === '0.0.0.0' || host === '::'
  if (!isAny && !isLoopback(host)) return
  throw new YardError(
    'usage',
    isAny
      ? 'this agent listens on every address, and does not know by which others reach it'
      : `the server is elsewhere, and nobody elsewhere reaches this agent at ${host}:${port}`,
    {
      hint: isAny
        ? `say it: --advertise https://10.0.0.7:${port}`
        : `listen at an address of this machine, with a certificate: --listen 10.0.0.7:${port} --tls-cert-file … --tls-key-file …; or, when all runs on this machine, say so with --advertise http://127.0.0.1:${port}`,
    },
  )
}
