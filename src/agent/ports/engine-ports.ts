import { createServer } from 'node:net'
import type { SystemFiles } from '../devices/system-files.ts'

/** The agent's hands on TCP ports of this machine. */
export interface EnginePorts {
  /** True when an engine could listen there now. */
  isFree(port: number): Promise<boolean>
  /** Ports that somebody listens on; empty where the system does not tell. */
  listening(): Promise<ReadonlySet<number>>
  /** Connections to a port that are open now; undefined where the system does not tell. */
  connections(port: number): Promise<number | undefined>
}

/** Real ports. */
export function machinePorts(files: SystemFiles): EnginePorts {
  const sockets = async () => {
    const texts = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => files.readText(path)))
    return texts.every((text) => text === undefined)
      ? undefined
      : texts.flatMap((text) => parseTcpTable(text ?? ''))
  }
  return {
    isFree: (port) =>
      new Promise((resolve) => {
        const server = createServer()
        server.once('error', () => resolve(false))
        server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
      }),
    async listening() {
      const all = (await sockets()) ?? []
      return new Set(all.filter((socket) => socket.state === 'listening').map((socket) => socket.port))
    },
    async connections(port) {
      const all = await sockets()
      return all?.filter((socket) => socket.state === 'open' && socket.port === port).length
    },
  }
}

/** Reads `/proc/net/tcp` and `tcp6`: local port and state of each socket. */
export function parseTcpTable(text: string): { port: number; state: 'listening' | 'open' | 'other' }[] {
  const sockets: { port: number; state: 'listening' | 'open' | 'other' }[] = []
  for (const line of text.split('\n')) {
    const match =
      /^\s*\d+:\s+[0-9A-F]{8,32}:([0-9A-F]{4})\s+[0-9A-F]{8,32}:[0-9A-F]{4}\s+([0-9A-F]{2})\s/.exec(line)
    if (!match?.[1]) continue
    const state = match[2] === '0A' ? 'listening' : match[2] === '01' ? 'open' : 'other'
    sockets.push({ port: Number.parseInt(match[1], 16), state })
  }
  return sockets
}
