import type { ChatStats } from './inference.ts'

/** `12 + 40 tokens · first 35 ms · 88.1 tokens/s · stop` */
export function statsLine(stats: ChatStats): string {
  const decodeMs = stats.totalMs - (stats.firstTokenMs ?? 0)
  const rate =
    stats.completionTokens !== undefined && stats.completionTokens > 1 && decodeMs > 0
      ? ((stats.completionTokens - 1) / decodeMs) * 1000
      : undefined
  return [
    `${stats.promptTokens ?? '?'} + ${stats.completionTokens ?? '?'} tokens`,
    stats.firstTokenMs === undefined ? 'nothing said' : `first ${Math.round(stats.firstTokenMs)} ms`,
    ...(rate === undefined ? [] : [`${rate.toFixed(1)} tokens/s`]),
    stats.finishReason ?? 'no finish reason',
  ].join(' · ')
}
