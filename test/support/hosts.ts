import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A network that exists for documentation only, so no real machine is ever meant. */
const NETWORK = '198.51.100'
const NOBODY_AT = '02:00:00:00:00:99'

/** One machine of the test's own: a network namespace with a loopback and one cable to the switch. */
export interface Host {
  readonly name: string
  readonly ip: string
  /** Put before a command, runs it there. */
  readonly prefix: readonly string[]
}

/** Why hosts can't be made here; undefined when they can. */
export function hostsMissing(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are of Linux'
  if (process.getuid?.() !== 0) return 'network namespaces can be made by root only'
  for (const [program, ask] of [
    ['ip', '-V'],
    ['openssl', 'version'],
  ] as const) {
    try {
      execFileSync(program, [ask], { stdio: 'ignore' })
    } catch {
      return `there is no program ${program}`
    }
  }
  const probe = `yard-probe-${randomBytes(3).toString('hex')}`
  try {
    ip('netns', 'add', probe)
    ip('-n', probe, 'link', 'add', 'probe', 'type', 'bridge')
    ip('-n', probe, 'link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'two')
    return undefined
  } catch (error) {
    return `network namespaces can't be made here: ${error instanceof Error ? error.message : String(error)}`
  } finally {
    try {
      ip('netns', 'del', probe)
    } catch {
      // It was never made.
    }
  }
}

/**
 * Hosts on one switch, and the test's own process beside them as the operator's machine. All of it goes when
 * disposed; processes in the hosts are the test's to end.
 */
export class Hosts implements Disposable {
  readonly #id = randomBytes(3).toString('hex')
  readonly #hosts = new Map<string, Host>()
  readonly #operatorLink: string
  readonly #switch: string

  constructor(names: readonly string[]) {
    this.#switch = `yard-${this.#id}-switch`
    this.#operatorLink = `yard-${this.#id}`
    try {
      this.#build(names)
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  host(name: string): Host {
    const host = this.#hosts.get(name)
    if (host === undefined) throw new Error(`there is no host ${name}`)
    return host
  }

  /** Pulls the cable of a host: packets from and to it are lost, and nobody is told. */
  cut(name: string): void {
    ip('-n', this.#switch, 'link', 'set', `port-${name}`, 'down')
  }

  heal(name: string): void {
    ip('-n', this.#switch, 'link', 'set', `port-${name}`, 'up')
  }

  /** What `from` sends to `to` is lost from now on; the other way is as it was. */
  cutOneWay(from: string, to: string): void {
    ip(
      ...['-n', this.#namespace(from), 'neigh', 'replace', this.host(to).ip],
      ...['lladdr', NOBODY_AT, 'nud', 'permanent', 'dev', 'eth0'],
    )
  }

  healOneWay(from: string, to: string): void {
    ip('-n', this.#namespace(from), 'neigh', 'del', this.host(to).ip, 'dev', 'eth0')
  }

  [Symbol.dispose](): void {
    const steps = [
      ['link', 'del', this.#operatorLink],
      ...[...this.#hosts.keys()].map((name) => ['netns', 'del', this.#namespace(name)]),
      ['netns', 'del', this.#switch],
    ]
    for (const step of steps) {
      try {
        ip(...step)
      } catch {
        // What was never made can't be taken away.
      }
    }
  }

  #build(names: readonly string[]): void {
    ip('netns', 'add', this.#switch)
    ip('-n', this.#switch, 'link', 'add', 'switch', 'type', 'bridge')
    ip('-n', this.#switch, 'link', 'set', 'switch', 'up')
    for (const [index, name] of names.entries()) this.#add(name, `${NETWORK}.${11 + index}`)
    ip(
      ...['link', 'add', this.#operatorLink, 'type', 'veth'],
      ...['peer', 'name', 'port-operator', 'netns', this.#switch],
    )
    ip('addr', 'add', `${NETWORK}.1/24`, 'dev', this.#operatorLink)
    ip('link', 'set', this.#operatorLink, 'up')
    this.#plugIn('operator')
  }

  #add(name: string, address: string): void {
    const namespace = this.#namespace(name)
    ip('netns', 'add', namespace)
    this.#hosts.set(name, { name, ip: address, prefix: ['ip', 'netns', 'exec', namespace] })
    ip(
      ...['-n', this.#switch, 'link', 'add', `port-${name}`, 'type', 'veth'],
      ...['peer', 'name', 'eth0', 'netns', namespace],
    )
    ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0')
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    ip('-n', namespace, 'link', 'set', 'eth0', 'up')
    this.#plugIn(name)
  }

  #plugIn(name: string): void {
    ip('-n', this.#switch, 'link', 'set', `port-${name}`, 'master', 'switch')
    ip('-n', this.#switch, 'link', 'set', `port-${name}`, 'up')
  }

  #namespace(name: string): string {
    return `yard-${this.#id}-${name}`
  }
}

export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
}

/** A certificate authority of the test's own, which signs one certificate for each address. */
export function makeAuthority(dir: string): { readonly caFile: string; sign(ip: string): Certificate } {
  const caFile = join(dir, 'ca.pem')
  const caKeyFile = join(dir, 'ca.key')
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  openssl(
    ...['req', '-x509', ...newKey, '-subj', '/CN=Yardmaster test authority'],
    ...['-keyout', caKeyFile, '-out', caFile],
  )
  return {
    caFile,
    sign(address) {
      const file = (ending: string) => join(dir, `${address}.${ending}`)
      openssl(
        ...['req', ...newKey.slice(0, -2), '-subj', `/CN=${address}`],
        ...['-keyout', file('key'), '-out', file('csr')],
      )
      writeFileSync(file('ext'), `subjectAltName=IP:${address}\nextendedKeyUsage=serverAuth\n`)
      openssl(
        ...['x509', '-req', '-in', file('csr'), '-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial'],
        ...['-days', '2', '-extfile', file('ext'), '-out', file('pem')],
      )
      return { certFile: file('pem'), keyFile: file('key') }
    },
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
