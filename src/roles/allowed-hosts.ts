import { isLoopback, type ListenAt } from './listen.ts'

/**
 * Names by which a browser may call control, as in a `Host` header without its port; undefined for any. A loopback
 * address is only ever called by a loopback name, so another name there is one that was re-bound to it. Beyond this
 * machine names can't be known, and TLS tells a re-bound one by its certificate: only `names` limit them.
 */
export function allowedHosts(
  at: ListenAt,
  more: { readonly gatewayUrl?: string | undefined; readonly names?: readonly string[] } = {},
): readonly string[] | undefined {
  const { gatewayUrl, names = [] } = more
  if (!isLoopback(at.host) && names.length === 0) return undefined
  const gatewayHost =
    gatewayUrl !== undefined && URL.canParse(gatewayUrl) ? [new URL(gatewayUrl).hostname] : []
  const own = at.host.includes(':') ? `[${at.host}]` : at.host
  const all = ['localhost', '127.0.0.1', '[::1]', own, ...gatewayHost, ...names]
  return [...new Set(all.map((name) => name.toLowerCase()))]
}
