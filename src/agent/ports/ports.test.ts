import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { systemFiles } from '../devices/system-files.ts'
import { machinePorts, parseTcpTable } from './engine-ports.ts'

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:4E20 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:D431 0100007F:4E20 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0
`
const TCP6 =
  '   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 0\n'

describe('the table of sockets', () => {
  test('tells who listens and who is connected', () => {
    expect(parseTcpTable(TCP)).toEqual([
      { port: 20_000, state: 'listening' },
      { port: 20_000, state: 'open' },
      { port: 0xd431, state: 'other' },
    ])
    expect(parseTcpTable(TCP6)).toEqual([{ port: 8080, state: 'listening' }])
  })

  test('arbitrary text never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseTcpTable(text))))
  })
})

describe('ports of this machine', () => {
  test('one that somebody listens on, on any address, is not free', async () => {
    const ports = machinePorts(systemFiles)
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, host, resolve))
      const { port } = server.address() as AddressInfo
      expect(await ports.isFree(port)).toBe(false)
      expect((await ports.listening()).has(port)).toBe(true)
      expect(await ports.connections(port)).toBe(0)
      await new Promise((resolve) => server.close(resolve))
      await vi.waitFor(async () => expect(await ports.isFree(port)).toBe(true))
    }
  })

  test('a system that does not tell is unknown, not zero', async () => {
    const ports = machinePorts({ readText: async () => undefined, list: async () => [] })
    expect(await ports.connections(1)).toBeUndefined()
    expect((await ports.listening()).size).toBe(0)
  })
})
