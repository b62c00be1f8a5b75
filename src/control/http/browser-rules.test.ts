import { expect, it } from 'vitest'
import { checkBrowserRules } from './browser-rules.ts'

it('knows the names that it may be called by, so that a name re-bound to our address opens nothing', () => {
  const ask = (host: string) => () =>
    checkBrowserRules(new Request(`http://${host}/api/v1/models`), ['localhost', '[::1]'])
  expect(ask('localhost:7701')).not.toThrow()
  expect(ask('LOCALHOST')).not.toThrow()
  expect(ask('[::1]:7701')).not.toThrow()
  for (const host of ['evil.example:7701', 'localhost.evil.example', '127.0.0.1']) {
    expect(ask(host)).toThrow(expect.objectContaining({ code: 'forbidden', reason: 'host' }))
  }
})
