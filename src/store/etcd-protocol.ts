import { fromJSON, type MethodDefinition } from '@grpc/proto-loader'

/**
 * The part of etcd's v3 API (3.4 and newer) that the store speaks, as published in etcd's `rpc.proto`, `kv.proto`
 * and `auth.proto`. Enums are declared as int32, which is the same on the wire: proto-loader would turn an enum
 * name that it does not know into 0 without a word, and so a compare of MOD into one of VERSION.
 */
const MESSAGES = {
  ResponseHeader: 'int64 revision = 3',
  KeyValue:
    'bytes key = 1, int64 create_revision = 2, int64 mod_revision = 3, bytes value = 5, int64 lease = 6',
  Event: 'int32 type = 1, KeyValue kv = 2',
  RangeRequest: 'bytes key = 1, bytes range_end = 2, int64 limit = 3, int64 revision = 4, bool keys_only = 8',
  RangeResponse: 'ResponseHeader header = 1, repeated KeyValue kvs = 2, bool more = 3',
  PutRequest: 'bytes key = 1, bytes value = 2, int64 lease = 3',
  DeleteRangeRequest: 'bytes key = 1',
  Compare: 'int32 result = 1, int32 target = 2, bytes key = 3, int64 mod_revision = 6',
  RequestOp:
    'RangeRequest request_range = 1, PutRequest request_put = 2, DeleteRangeRequest request_delete_range = 3',
  ResponseOp: 'RangeResponse response_range = 1',
  TxnRequest: 'repeated Compare compare = 1, repeated RequestOp success = 2, repeated RequestOp failure = 3',
  TxnResponse: 'ResponseHeader header = 1, bool succeeded = 2, repeated ResponseOp responses = 3',
  CompactionRequest: 'int64 revision = 1',
  CompactionResponse: 'ResponseHeader header = 1',
  WatchCreateRequest:
    'bytes key = 1, bytes range_end = 2, int64 start_revision = 3, bool progress_notify = 4, bool fragment = 8',
  WatchRequest: 'WatchCreateRequest create_request = 1',
  WatchResponse:
    'ResponseHeader header = 1, bool created = 3, bool canceled = 4, int64 compact_revision = 5, string cancel_reason = 6, bool fragment = 7, repeated Event events = 11',
  LeaseGrantRequest: 'int64 TTL = 1',
  LeaseGrantResponse: 'ResponseHeader header = 1, int64 ID = 2',
  LeaseRevokeRequest: 'int64 ID = 1',
  LeaseRevokeResponse: 'ResponseHeader header = 1',
  LeaseKeepAliveRequest: 'int64 ID = 1',
  LeaseKeepAliveResponse: 'ResponseHeader header = 1, int64 TTL = 3',
  AuthenticateRequest: 'string name = 1, string password = 2',
  AuthenticateResponse: 'ResponseHeader header = 1, string token = 2',
} as const

/** By service: `Method: Request Response`, with `stream` before each where both ways are streams. */
const SERVICES = {
  KV: 'Range: RangeRequest RangeResponse, Txn: TxnRequest TxnResponse, Compact: CompactionRequest CompactionResponse',
  Watch: 'Watch: stream WatchRequest WatchResponse',
  Lease:
    'LeaseGrant: LeaseGrantRequest LeaseGrantResponse, LeaseRevoke: LeaseRevokeRequest LeaseRevokeResponse, LeaseKeepAlive: stream LeaseKeepAliveRequest LeaseKeepAliveResponse',
  Auth: 'Authenticate: AuthenticateRequest AuthenticateResponse',
} as const

/** `Compare.result` EQUAL and `Compare.target` MOD. */
export const COMPARE_MOD_EQUAL = { result: 0, target: 2 } as const

/** `Event.type` DELETE. */
export const EVENT_DELETE = 1

/** int64 comes as decimal text and goes as text or number. */
export type Int64 = string
export interface ResponseHeader {
  readonly revision: Int64
}
export interface KeyValue {
  readonly key: Buffer
  readonly value: Buffer
  readonly create_revision: Int64
  readonly mod_revision: Int64
  readonly lease: Int64
}
export interface RangeRequest {
  readonly key: Buffer
  readonly range_end?: Buffer
  readonly limit?: number
  readonly revision?: number
  readonly keys_only?: boolean
}
export interface RangeResponse {
  readonly header: ResponseHeader
  readonly kvs: readonly KeyValue[]
  readonly more: boolean
}
export interface RequestOp {
  readonly request_range?: RangeRequest
  readonly request_put?: { readonly key: Buffer; readonly value: Buffer; readonly lease: Int64 }
  readonly request_delete_range?: { readonly key: Buffer }
}
export interface TxnRequest {
  readonly compare: readonly {
    readonly result: number
    readonly target: number
    readonly key: Buffer
    readonly mod_revision: number
  }[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}
export interface TxnResponse {
  readonly header: ResponseHeader
  readonly succeeded: boolean
  readonly responses: readonly { readonly response_range: RangeResponse | null }[]
}
export interface WatchRequest {
  readonly create_request: {
    readonly key: Buffer
    readonly range_end: Buffer
    readonly start_revision: number
    readonly progress_notify: boolean
    readonly fragment: boolean
  }
}
export interface WatchResponse {
  readonly header: ResponseHeader
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: Int64
  readonly cancel_reason: string
  readonly fragment: boolean
  readonly events: readonly { readonly type: number; readonly kv: KeyValue }[]
}

/** A method of the API, with what it takes and gives. */
export type Method<Q, A> = Pick<
  MethodDefinition<Q, A>,
  'path' | 'requestSerialize' | 'responseDeserialize' | 'responseStream'
>

const PACKAGE = 'etcdserverpb'
const definition = fromJSON(descriptor(), { longs: String, defaults: true, arrays: true })

export const RANGE = method<RangeRequest, RangeResponse>('KV', 'Range')
export const TXN = method<TxnRequest, TxnResponse>('KV', 'Txn')
export const COMPACT = method<{ revision: number }, unknown>('KV', 'Compact')
export const WATCH = method<WatchRequest, WatchResponse>('Watch', 'Watch')
export const LEASE_GRANT = method<{ TTL: number }, { ID: Int64 }>('Lease', 'LeaseGrant')
export const LEASE_REVOKE = method<{ ID: Int64 }, unknown>('Lease', 'LeaseRevoke')
export const LEASE_KEEP_ALIVE = method<{ ID: Int64 }, { TTL: Int64 }>('Lease', 'LeaseKeepAlive')
export const AUTHENTICATE = method<{ name: string; password: string }, { token: string }>(
  'Auth',
  'Authenticate',
)

function method<Q, A>(service: keyof typeof SERVICES, name: string): Method<Q, A> {
  const methods = definition[`${PACKAGE}.${service}`] as Record<string, unknown> | undefined
  const found = methods?.[name]
  if (found === undefined) throw new Error(`etcd's ${service} has no ${name}`)
  // The descriptor above is what the types above say.
  return found as Method<Q, A>
}

/** The same in the JSON that protobufjs reads, so that no .proto file is needed at run time. */
function descriptor(): Parameters<typeof fromJSON>[0] {
  const nested: Record<string, object> = {}
  for (const [name, fields] of Object.entries(MESSAGES)) nested[name] = { fields: fieldsOf(fields) }
  for (const [name, methods] of Object.entries(SERVICES)) nested[name] = { methods: methodsOf(methods) }
  return { nested: { [PACKAGE]: { nested } } }
}

function fieldsOf(text: string): Record<string, object> {
  return Object.fromEntries(
    text.split(', ').map((field) => {
      const [, rule, type, name = '', id] = /^(repeated )?(\w+) (\w+) = (\d+)$/.exec(field) ?? []
      return [name, { type, id: Number(id), ...(rule === undefined ? {} : { rule: 'repeated' }) }]
    }),
  )
}

function methodsOf(text: string): Record<string, object> {
  return Object.fromEntries(
    text.split(', ').map((method) => {
      const [, name = '', stream, requestType, responseType] =
        /^(\w+): (stream )?(\w+) (\w+)$/.exec(method) ?? []
      const streams = stream !== undefined
      return [name, { requestType, responseType, requestStream: streams, responseStream: streams }]
    }),
  )
}
