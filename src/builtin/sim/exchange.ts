/**
 * One HTTP request with its body read, and where the answer goes. The same handlers serve a socket
 * (node-exchange.ts) and an in-process `fetch` (fetch-exchange.ts).
 */
export interface Exchange {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Lower-case name. */
  readonly header: (name: string) => string | undefined
  readonly body: string
  readonly reply: Reply
}

export interface Reply {
  /** True once the answer is complete, or the client or `cut` ended it. */
  readonly closed: boolean
  head(status: number, headers: Readonly<Record<string, string>>): void
  write(chunk: string): void
  end(chunk?: string): void
  /** Drops the connection after what was written, so that the client sees a broken answer. */
  cut(): void
  /** Called once if the answer ends before `end`: the client left, or `cut`. At once when it already has. */
  onBroken(run: () => void): void
}

/** The largest body read; a larger one gets 413. */
export const BODY_LIMIT_BYTES = 32 * 2 ** 20

export function sendJson(
  reply: Reply,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendText(reply, status, JSON.stringify(value), { 'content-type': 'application/json', ...headers })
}

export function sendText(
  reply: Reply,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  reply.head(status, { 'content-length': String(Buffer.byteLength(body)), ...headers })
  reply.end(body)
}

/** An error in vLLM's envelope (entrypoints/serve/utils/error_response.py). */
export interface ApiError {
  readonly status: number
  readonly type: string
  readonly message: string
  readonly param?: string
}

export function errorBody({ status, type, message, param }: ApiError) {
  return { error: { message, type, param: param ?? null, code: status } }
}

export function sendError(reply: Reply, error: ApiError, headers?: Readonly<Record<string, string>>): void {
  sendJson(reply, error.status, errorBody(error), headers)
}

export function badRequest(message: string, param?: string): ApiError {
  return { status: 400, type: 'BadRequestError', message, ...(param === undefined ? {} : { param }) }
}
