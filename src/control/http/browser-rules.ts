import { YardError } from '../../base/errors.ts'

/**
 * Refuses what a page of another site asks a browser to send, whatever the method: `Sec-Fetch-Site` (which pages
 * can't forge) must be `same-origin` or `none`, an `Origin` must be our own, and `Host` must be one of
 * `allowedHosts` where those are given, so that a name that was re-bound to our address opens nothing.
 */
export function checkBrowserRules(request: Request, allowedHosts: readonly string[] | undefined): void {
  const url = new URL(request.url)
  const host = request.headers.get('host') ?? url.host
  if (allowedHosts !== undefined && !allowedHosts.includes(hostName(host))) {
    throw new YardError('forbidden', 'this server is not known by the name in the Host header', {
      reason: 'host',
      hint: 'use the address that the server printed when it started; behind a proxy, name its host with --allowed-hosts',
    })
  }
  const site = request.headers.get('sec-fetch-site')
  if (site !== null && site !== 'same-origin' && site !== 'none') throw crossSite()
  const origin = request.headers.get('origin')
  if (origin !== null && !isOwnOrigin(origin, host)) throw crossSite()
}

function isOwnOrigin(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host
  } catch {
    // Also the opaque origin, which is written `null`.
    return false
  }
}

/** A host without its port; brackets of IPv6 stay. */
function hostName(host: string): string {
  return host.replace(/:\d+$/, '').toLowerCase()
}

function crossSite(): YardError {
  return new YardError('forbidden', 'a page of another site may not use this API', {
    reason: 'cross_site',
    hint: 'open the console at the address of this server, or use the CLI',
  })
}
