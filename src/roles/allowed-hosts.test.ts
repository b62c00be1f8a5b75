import { expect, it } from 'vitest'
import { allowedHosts } from './allowed-hosts.ts'

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

it('knows control on a loopback address by loopback names only', () => {
  expect(allowedHosts({ host: '127.0.0.1', port: 7701 })).toEqual(LOOPBACK)
  expect(allowedHosts({ host: '::1', port: 7701 })).toEqual(LOOPBACK)
  expect(allowedHosts({ host: '127.0.0.9', port: 7701 })).toEqual([...LOOPBACK, '127.0.0.9'])
})

it('adds where clients are told to go, and the names of a proxy in front', () => {
  const more = { gatewayUrl: 'https://Models.example:8443', names: ['Yard.example'] }
  expect(allowedHosts({ host: 'localhost', port: 7701 }, more)).toEqual([
    ...LOOPBACK,
    'models.example',
    'yard.example',
  ])
})

it('lets control beyond this machine have any name, unless names are said', () => {
  const at = { host: '10.0.0.5', port: 7701 }
  expect(allowedHosts(at, { gatewayUrl: 'https://models.example' })).toBeUndefined()
  expect(allowedHosts(at, { names: ['yard.example'] })).toEqual([...LOOPBACK, '10.0.0.5', 'yard.example'])
})
