import {
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import { etcdFault, isAuthDisabled, isStaleToken, isTransient } from './etcd-faults.ts'
import { AUTHENTICATE, type Method } from './etcd-protocol.ts'

export interface EtcdClientOptions {
  /** `http://host:port` or `https://host:port`, all of one kind. */
  readonly endpoints: readonly string[]
  /** PEM. Without `ca` the system's authorities are trusted; `cert` and `key` identify this client. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly auth?: { readonly user: string; readonly password: string }
  /** Must be real time: gRPC's deadlines are. */
  readonly clock: Clock
  /** How long one call may take in all, with every connection and repetition. */
  readonly requestTimeoutMs: number
}

export interface EtcdStream<Q, A> {
  readonly call: ClientDuplexStream<Q, A>
  avoidMember(): void
  forgetToken(): void
}

/**
 * Calls to whichever member of an etcd cluster answers. It stays with one member until that one fails, and each
 * call has a deadline. Rejects with etcd's `ServiceError` when etcd answered, with `store_unavailable` when none
 * could be reached.
 */
export class EtcdClient {
  readonly #options: EtcdClientOptions
  readonly #members: readonly Client[]
  #preferred = 0
  #token: Promise<string | undefined> | undefined

  constructor(options: EtcdClientOptions) {
    this.#options = options
    this.#members = membersOf(options)
  }

  /**
   * One request, one answer. A `repeatable` one goes to another member when the first fails; any other is sent
   * once, as nobody knows whether a failed one was applied.
   */
  async call<Q, A>(method: Method<Q, A>, request: Q, options: { repeatable: boolean }): Promise<A> {
    const { clock, requestTimeoutMs } = this.#options
    const deadlineMs = clock.now() + requestTimeoutMs
    for (let attempt = 1; ; attempt++) {
      const member = await this.#readyMember(deadlineMs)
      // Half of the time for the first member, so that one which hangs leaves time for another.
      const attemptMs =
        options.repeatable && this.#members.length > 1 ? requestTimeoutMs / 2 : requestTimeoutMs
      const untilMs = Math.min(deadlineMs, clock.now() + attemptMs)
      const token = this.#currentToken(member, untilMs)
      try {
        return await send(member, method, request, metadataOf(await token), untilMs)
      } catch (error) {
        if (isStaleToken(error)) this.#forgetToken(token)
        else if (isTransient(error)) this.#avoid(member)
        const again = isStaleToken(error) || (options.repeatable && isTransient(error))
        if (!again || attempt > this.#members.length + 1 || clock.now() >= deadlineMs) throw error
      }
    }
  }

  /** A stream both ways, and how to tell this client why it failed, so that the next one fares better. */
  async open<Q, A>(method: Method<Q, A>): Promise<EtcdStream<Q, A>> {
    const deadlineMs = this.#options.clock.now() + this.#options.requestTimeoutMs
    const member = await this.#readyMember(deadlineMs)
    const token = this.#currentToken(member, deadlineMs)
    const metadata = metadataOf(await token)
    // A member that is cut off from the leader would keep the stream open and say nothing.
    metadata.set('hasleader', 'true')
    const { path, requestSerialize, responseDeserialize } = method
    const call = member.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, {})
    // Cancelling raises an error that nobody waits for.
    call.on('error', () => {})
    return {
      call,
      avoidMember: () => this.#avoid(member),
      forgetToken: () => this.#forgetToken(token),
    }
  }

  close(): void {
    for (const member of this.#members) member.close()
  }

  async #readyMember(deadlineMs: number): Promise<Client> {
    for (let offset = 0; offset < this.#members.length; offset++) {
      const index = (this.#preferred + offset) % this.#members.length
      const member = this.#members[index]
      if (member?.getChannel().getConnectivityState(true) === connectivityState.READY) {
        this.#preferred = index
        return member
      }
    }
    try {
      const index = await Promise.any(this.#members.map((member, at) => whenReady(member, deadlineMs, at)))
      this.#preferred = index
      return this.#members[index] as Client
    } catch {
      throw new YardError(
        'store_unavailable',
        `No etcd endpoint could be reached: ${this.#options.endpoints.join(', ')}.`,
        {
          reason: 'unreachable',
          hint: 'Nothing was applied. Check that etcd runs there, and the TLS files.',
        },
      )
    }
  }

  #avoid(member: Client): void {
    if (this.#members[this.#preferred] === member)
      this.#preferred = (this.#preferred + 1) % this.#members.length
  }

  #currentToken(member: Client, deadlineMs: number): Promise<string | undefined> {
    if (this.#token !== undefined) return this.#token
    const token = this.#authenticate(member, deadlineMs)
    this.#token = token
    token.catch(() => this.#forgetToken(token))
    return token
  }

  #forgetToken(token: Promise<string | undefined>): void {
    if (this.#token === token) this.#token = undefined
  }

  async #authenticate(member: Client, deadlineMs: number): Promise<string | undefined> {
    const { auth } = this.#options
    if (auth === undefined) return undefined
    const request = { name: auth.user, password: auth.password }
    try {
      return (await send(member, AUTHENTICATE, request, new Metadata(), deadlineMs)).token
    } catch (error) {
      if (isAuthDisabled(error)) return undefined
      throw isTransient(error) ? error : etcdFault(error)
    }
  }
}

function membersOf({ endpoints, tls }: EtcdClientOptions): Client[] {
  const urls = endpoints.map((endpoint) => parseEndpoint(endpoint))
  const secure = urls.some((url) => url.protocol === 'https:')
  if (urls.length === 0) throw badEndpoints('No etcd endpoint is given')
  if (urls.some((url) => (url.protocol === 'https:') !== secure)) {
    throw badEndpoints('etcd endpoints are of both kinds, http and https')
  }
  if (tls !== undefined && !secure) throw badEndpoints('TLS files are given for http endpoints')
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text))
  const creds = secure
    ? credentials.createSsl(pem(tls?.ca), pem(tls?.key), pem(tls?.cert))
    : credentials.createInsecure()
  return urls.map((url) => new Client(`dns:${url.host}`, creds, CHANNEL_OPTIONS))
}

const CHANNEL_OPTIONS = {
  // etcd allows a ping every 5 s (`--grpc-keepalive-min-time`); a dead member is noticed after 15 s.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2_000,
  // Pages and revisions are bounded by count, their values by etcd.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
}

function parseEndpoint(endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const plain =
    url !== undefined && ['', '/'].includes(url.pathname) && url.username === '' && url.search === ''
  if (!plain || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw badEndpoints(`${endpoint} is not an etcd endpoint`)
  }
  if (url.port === '') url.port = '2379'
  return url
}

function badEndpoints(message: string): YardError {
  return new YardError('invalid_request', `${message}.`, {
    reason: 'bad_endpoints',
    hint: 'Write them as http://host:2379 or https://host:2379, separated by commas.',
  })
}

function metadataOf(token: string | undefined): Metadata {
  const metadata = new Metadata()
  if (token !== undefined) metadata.set('token', token)
  return metadata
}

function whenReady(member: Client, deadlineMs: number, index: number): Promise<number> {
  return new Promise((resolve, reject) => {
    member.waitForReady(deadlineMs, (error) => (error === undefined ? resolve(index) : reject(error)))
  })
}

/** A unary call, or the first answer of a stream. */
function send<Q, A>(
  member: Client,
  { path, requestSerialize, responseDeserialize, responseStream }: Method<Q, A>,
  request: Q,
  metadata: Metadata,
  deadline: number,
): Promise<A> {
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, answer?: A) => {
      if (error === null && answer !== undefined) resolve(answer)
      else reject(error ?? new Error(`etcd ended ${path} without an answer`))
    }
    if (!responseStream) {
      member.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline },
        done,
      )
      return
    }
    const stream = member.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, {
      deadline,
    })
    stream.on('error', done)
    stream.on('end', () => done(null))
    stream.on('data', (answer: A) => {
      done(null, answer)
      stream.end()
      stream.cancel()
    })
    stream.write(request)
  })
}
