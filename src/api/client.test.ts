import { expect, it } from 'vitest'
import { createClient } from './client.ts'
import { operations } from './operations.ts'

/** As Node's `fetch` fails: the reason is in the cause. */
const failing = (code: string, message: string) =>
  createClient({
    baseUrl: 'https://10.0.0.5:7701',
    token: () => undefined,
    fetch: () =>
      Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error(message), { code }) })),
  }).call(operations.listNodes, {})

it.each([
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'unable to get local issuer certificate'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate'],
  ['CERT_HAS_EXPIRED', 'certificate has expired'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'IP: 10.0.0.5 is not in the cert'],
])('tells a certificate that is not trusted from a server that is away (%s)', async (code, message) => {
  await expect(failing(code, message)).rejects.toMatchObject({
    code: 'unreachable',
    reason: 'certificate',
    message: expect.stringContaining(message),
    hint: expect.stringContaining('NODE_EXTRA_CA_CERTS'),
  })
})

it('calls a server unreachable that refuses the connection', async () => {
  await expect(failing('ECONNREFUSED', 'connect ECONNREFUSED')).rejects.toMatchObject({
    code: 'unreachable',
    reason: undefined,
    hint: expect.stringContaining('--server'),
  })
})
