import { expect, it } from 'vitest'
import { checkAgentUrl } from './agent-url.ts'

const AT = { host: '127.0.0.1', port: 7702 }
const check = (server: string, host: string, advertised?: string) => () =>
  checkAgentUrl({ server, listen: { ...AT, host }, advertised })

it('takes the address listened at when others reach it', () => {
  expect(check('http://127.0.0.1:7701', '127.0.0.1')).not.toThrow()
  expect(check('http://[::1]:7701', '127.0.0.1')).not.toThrow()
  expect(check('http://localhost:7701', '0.0.0.0')).not.toThrow()
  expect(check('https://10.0.0.5:7701', '10.0.0.7')).not.toThrow()
})

it.each(['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::'])(
  'refuses %s for a server elsewhere, unless an address is advertised',
  (host) => {
    expect(check('https://10.0.0.5:7701', host)).toThrow(expect.objectContaining({ code: 'usage' }))
    expect(check('https://10.0.0.5:7701', host, 'https://gpu-7.example:7702')).not.toThrow()
    expect(check('https://10.0.0.5:7701', host, 'http://127.0.0.1:7702')).not.toThrow()
  },
)

it.each([
  'gpu-7',
  '10.0.0.7:7702',
  'ftp://gpu-7',
  'https://gpu-7/agent',
  'https://me:secret@gpu-7',
  'https://gpu-7?x',
])('refuses to advertise %s', (advertised) => {
  expect(check('http://127.0.0.1:7701', '127.0.0.1', advertised)).toThrow(/--advertise takes a URL/)
})
