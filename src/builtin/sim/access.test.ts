import { describe, expect, it } from 'vitest'
import { isGuarded, keyCheck } from './access.ts'

describe('the engine key', () => {
  it('lets in any of the keys as a bearer, whatever the case of the scheme', () => {
    const allowed = keyCheck(['one', 'two'])
    expect(allowed('Bearer one')).toBe(true)
    expect(allowed('bearer two')).toBe(true)
    for (const header of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      'Bearer three',
      'Basic one',
      'one',
      'Bearer one ',
    ])
      expect(allowed(header), String(header)).toBe(false)
  })

  it('lets in everybody when there is no key', () => {
    expect(keyCheck([])(undefined)).toBe(true)
  })

  it('guards what vLLM guards, and our own path', () => {
    expect(['/v1/models', '/v2/rerank', '/admin/fault'].every(isGuarded)).toBe(true)
    expect(['/health', '/metrics', '/rerank', '/tokenize', '/score'].some(isGuarded)).toBe(false)
  })
})
