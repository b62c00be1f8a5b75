import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { errorText, YardError } from '../base/errors.ts'

export interface ListenAt {
  readonly host: string
  readonly port: number
}

export interface Tls {
  readonly certFile: string
  readonly keyFile: string
}

export interface Listening {
  readonly server: Server
  /** `http://127.0.0.1:7700`, with the real port when 0 was asked for. */
  readonly url: string
  readonly port: number
  /** Stops accepting and resolves when the last connection has ended, or at once for those idle. */
  close(): Promise<void>
}

/**
 * Listens for HTTP. A non-loopback address needs TLS, or `insecure` said out loud. Faults: `usage`,
 * `port_in_use` naming the flag to change.
 */
export async function listen(
  listener: RequestListener,
  at: ListenAt,
  options: { tls?: Tls; insecure: boolean; flag: string },
): Promise<Listening> {
  if (!isLoopback(at.host) && options.tls === undefined && !options.insecure) {
    throw new YardError(
      'usage',
      `${at.host}:${at.port} can be reached from other machines, and there is no TLS`,
      {
        hint: 'give --tls-cert-file and --tls-key-file, or say --insecure on a network that you trust',
      },
    )
  }
  const server = options.tls ? tlsServer(options.tls, listener) : createServer(PROBES, listener)
  // Longer than a load balancer's idle limit, so that it never reuses a connection that we are just closing.
  server.keepAliveTimeout = 75_000
  // Generations may take as long as they take; the gateway and the control API bound their own bodies.
  server.requestTimeout = 0
  server.headersTimeout = 30_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenFault(error, at, options.flag)))
    server.listen(at.port, at.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  const host =
    at.host === '0.0.0.0' || at.host === '::' ? 'localhost' : at.host.includes(':') ? `[${at.host}]` : at.host
  return {
    server: server as Server,
    url: `${options.tls ? 'https' : 'http'}://${host}:${port}`,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
  }
}

/** A client that is gone without a word must not keep an engine at work: after this silence it is asked. */
const PROBES = { keepAlive: true, keepAliveInitialDelay: 15_000 } as const
const HANDSHAKE_MS = 10_000

function tlsServer(
  { certFile, keyFile }: Tls,
  listener: RequestListener,
): ReturnType<typeof createTlsServer> {
  const pem = { cert: readPem(certFile, '--tls-cert-file'), key: readPem(keyFile, '--tls-key-file') }
  try {
    return createTlsServer({ ...pem, ...PROBES, handshakeTimeout: HANDSHAKE_MS }, listener)
  } catch (cause) {
    throw new YardError('usage', `${certFile} and ${keyFile} are no certificate and its key`, {
      hint: `both are PEM files, and the key is the one that the certificate was made for (${errorText(cause)})`,
      cause,
    })
  }
}

function readPem(path: string, flag: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new YardError('usage', `${flag}: ${path} can't be read (${errorText(cause)})`, { cause })
  }
}

/** `host:port`, `:port` or `port` as an address; loopback when no host is said. */
export function parseListen(text: string, flag: string): ListenAt {
  const match = /^(?:(\[[0-9a-fA-F:]+\]|[\w.-]*):)?(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[2])
  if (!match || !(port >= 0 && port <= 65_535))
    throw new YardError('usage', `${flag} takes host:port, not "${text}"`)
  return { host: match[1]?.replace(/^\[|\]$/g, '') || '127.0.0.1', port }
}

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function listenFault(error: NodeJS.ErrnoException, at: ListenAt, flag: string): YardError {
  if (error.code === 'EADDRINUSE') {
    return new YardError('port_in_use', `${at.host}:${at.port} is in use by another program`, {
      hint: `stop it, or choose another port with ${flag}`,
      cause: error,
    })
  }
  if (error.code === 'EACCES') {
    return new YardError('usage', `this user may not listen on ${at.host}:${at.port}`, {
      hint: `choose a port above 1023 with ${flag}`,
      cause: error,
    })
  }
  return new YardError('usage', `can't listen on ${at.host}:${at.port}: ${error.message}`, {
    hint: `choose another address with ${flag}`,
    cause: error,
  })
}
