import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'

/** Real programs that tests run, by the Debian package that has them. */
const PROGRAMS = [
  { path: '/usr/bin/etcd', package: 'etcd-server' },
  { path: '/usr/bin/etcdctl', package: 'etcd-client' },
  { path: '/usr/bin/chromium', package: 'chromium' },
  { path: '/sbin/ip', package: 'iproute2' },
] as const

/**
 * Installs the real programs that tests use, where that is possible: on Debian, as root. Elsewhere the tests that
 * need them skip and say so. `YARD_TEST_NO_INSTALL=1` leaves the machine alone.
 */
export default function setup(): void {
  const missing = PROGRAMS.filter((program) => !exists(program.path))
  if (missing.length === 0) return
  const names = missing.map((program) => program.package)
  if (
    process.env.YARD_TEST_NO_INSTALL !== undefined ||
    process.getuid?.() !== 0 ||
    !exists('/usr/bin/apt-get')
  ) {
    console.warn(`tests that need ${names.join(', ')} will be skipped: not installed, and not root on Debian`)
    return
  }
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    const options = { env, stdio: 'ignore', timeout: 180_000 } as const
    execFileSync('apt-get', ['update', '-qq'], options)
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], options)
  } catch (error) {
    console.warn(
      `tests that need ${names.join(', ')} will be skipped: apt-get failed (${error instanceof Error ? error.message : String(error)})`,
    )
  }
}

function exists(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
