import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { listen } from './listen.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const options = { insecure: false, flag: '--listen' }
const nothing = () => {}

it('needs TLS or --insecure beyond loopback, and says so', async () => {
  await expect(listen(nothing, { host: '0.0.0.0', port: 0 }, options)).rejects.toMatchObject({
    code: 'usage',
    exitCode: 2,
    hint: expect.stringContaining('--insecure'),
  })
})

it('says which flag to change when the port is in use', async () => {
  const first = await listen(nothing, LOOPBACK, options)
  await expect(listen(nothing, { ...LOOPBACK, port: first.port }, options)).rejects.toMatchObject({
    code: 'port_in_use',
    hint: expect.stringContaining('--listen'),
  })
  await first.close()
})

it('says which file is no certificate', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'yard-listen-'))
  try {
    const certFile = join(dir, 'cert.pem')
    const keyFile = join(dir, 'key.pem')
    const withTls = () => listen(nothing, LOOPBACK, { ...options, tls: { certFile, keyFile } })
    await expect(withTls()).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/^--tls-cert-file: .*cert\.pem can't be read/),
    })
    writeFileSync(certFile, 'nonsense')
    writeFileSync(keyFile, 'nonsense')
    await expect(withTls()).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('are no certificate and its key'),
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
