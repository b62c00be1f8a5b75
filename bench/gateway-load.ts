import { connect, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'

/** What one load run saw; latencies and gaps in milliseconds. */
export interface LoadResult {
  readonly done: number
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const HEAD_END = '\r\n\r\n'

/** Requests at a steady rate, each measured from the moment it was due, so that a stall counts for all it delays. */
export async function steadyLoad(
  port: number,
  request: string,
  perSecond: number,
  seconds: number,
): Promise<LoadResult> {
  const latencies: number[] = []
  let failed = 0
  const idle: Socket[] = []
  const dueOf = new WeakMap<Socket, number>()
  const open = (): Socket => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let received = 0
    let expected = -1
    socket.on('data', (bytes) => {
      if (expected === -1) {
        const text = bytes.toString('latin1')
        if (!text.startsWith('HTTP/1.1 200')) failed++
        expected = text.indexOf(HEAD_END) + 4 + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
      }
      received += bytes.length
      if (received < expected) return
      latencies.push(performance.now() - (dueOf.get(socket) ?? 0))
      received = 0
      expected = -1
      idle.push(socket)
    })
    socket.on('error', () => failed++)
    return socket
  }
  const all = Array.from({ length: 64 }, open)
  await new Promise((resolve) => setTimeout(resolve, 100))
  idle.push(...all)
  const startMs = performance.now()
  let sent = 0
  await new Promise<void>((resolve) => {
    const tick = () => {
      const passedMs = performance.now() - startMs
      for (; sent < Math.min(passedMs, seconds * 1000) * (perSecond / 1000); sent++) {
        const socket = idle.pop() ?? open()
        dueOf.set(socket, startMs + (sent * 1000) / perSecond)
        socket.write(request, 'latin1')
      }
      if (passedMs > seconds * 1000 + 200) resolve()
      else setImmediate(tick)
    }
    tick()
  })
  for (const socket of all) socket.destroy()
  return { done: latencies.length, failed, ...quantiles(latencies) }
}

/** So many streams at one time, begun again when they end, for so long; `done` counts events, gaps are between them. */
export async function streamLoad(
  port: number,
  request: string,
  streams: number,
  seconds: number,
): Promise<LoadResult> {
  const gaps: number[] = []
  let events = 0
  let failed = 0
  const sockets = Array.from({ length: streams }, () => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let lastMs = 0
    socket.on('connect', () => socket.write(request, 'latin1'))
    socket.on('data', (bytes) => {
      const nowMs = performance.now()
      const text = bytes.toString('latin1')
      if (text.startsWith('HTTP/1.1 ') && !text.startsWith('HTTP/1.1 200')) failed++
      for (let at = text.indexOf('data: {'); at !== -1; at = text.indexOf('data: {', at + 7)) events++
      if (lastMs > 0) gaps.push(nowMs - lastMs)
      lastMs = nowMs
      if (text.endsWith('0\r\n\r\n')) {
        lastMs = 0
        socket.write(request, 'latin1')
      }
    })
    socket.on('error', () => failed++)
    return socket
  })
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  for (const socket of sockets) socket.destroy()
  return { done: events, failed, ...quantiles(gaps) }
}

function quantiles(values: number[]): { p50Ms: number; p99Ms: number } {
  const sorted = values.sort((a, b) => a - b)
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { p50Ms: at(0.5), p99Ms: at(0.99) }
}
