import type { IncomingMessage, ServerResponse } from 'node:http'
import { mayUse } from './access.ts'
import { Account, type Stage } from './account.ts'
import type { Core } from './core.ts'
import { Exchange } from './exchange.ts'
import { type GatewayError, gatewayErrors } from './gateway-error.ts'
import type { InferenceRoute } from './inference-route.ts'
import { readRequest } from './read-request.ts'
import { receiveBody } from './receive-body.ts'
import { type RequestHead, readHead } from './request-head.ts'
import { LEAST_TIMEOUT_MS } from './settings.ts'

/**
 * Takes an inference request in: who asks, how much, for which model, and may they. What stands in the head is
 * looked at before any of the body is read.
 */
export class Intake implements Stage {
  readonly #core: Core
  readonly #route: InferenceRoute
  readonly #request: IncomingMessage
  readonly #head: RequestHead
  readonly #account: Account

  constructor(core: Core, route: InferenceRoute, request: IncomingMessage, response: ServerResponse) {
    this.#core = core
    this.#route = route
    this.#request = request
    this.#head = readHead(request.rawHeaders)
    const { totalMs } = core.settings
    const timeoutMs =
      this.#head.timeoutMs === undefined ? totalMs : Math.max(this.#head.timeoutMs, LEAST_TIMEOUT_MS)
    this.#account = new Account(core, route.label, response, this.#head, Math.min(totalMs, timeoutMs))
    this.#account.stage = this
  }

  begin(response: ServerResponse): void {
    const wrong = this.#judgeHead()
    if (wrong !== undefined) {
      this.#refuse(wrong)
      return
    }
    if (this.#head.expectsContinue) response.writeContinue()
    this.#account.deadlineAtMs = Math.min(
      this.#account.totalAtMs,
      this.#account.startedMs + this.#core.settings.receiveMs,
    )
    const account = this.#account
    const { maxBodyBytes } = this.#core.settings
    // Counted at once where the head tells it, so that many uploads at one time are bounded too.
    const told = this.#head.contentLength
    account.hold(told ?? 0)
    receiveBody(
      this.#request,
      maxBodyBytes,
      (body) => {
        if (account.over) return
        if (body === 'too_large') this.#refuse(gatewayErrors.tooLarge(maxBodyBytes))
        else this.#judgeBody(body)
      },
      (bytes) => {
        if (told === undefined && !account.over) account.hold(bytes)
      },
    )
  }

  clientLeft(): void {
    this.#account.settle('client_closed', 499)
  }

  expire(): void {
    this.#refuse(gatewayErrors.requestTimeout())
  }

  cutOff(): void {
    this.#refuse(gatewayErrors.draining())
  }

  #judgeHead(): GatewayError | undefined {
    const core = this.#core
    const { index, settings } = core
    const head = this.#head
    if (core.state === 'refusing') return gatewayErrors.draining()
    if (index === undefined) return gatewayErrors.noView()
    const principal = core.authenticator.authenticate(head.token, index)
    if (principal === undefined) return gatewayErrors.badKey()
    this.#account.principal = principal
    if (!isJson(head)) return gatewayErrors.wrongContentType()
    const length = head.contentLength ?? 0
    if (length > settings.maxBodyBytes) return gatewayErrors.tooLarge(settings.maxBodyBytes)
    const isFull =
      core.inFlight.size > settings.maxInFlight || core.heldBodyBytes + length > settings.maxHeldBodyBytes
    return isFull ? gatewayErrors.overloaded() : undefined
  }

  #judgeBody(body: Buffer): void {
    const account = this.#account
    account.requestBytes = body.length
    const facts = readRequest(body)
    if (facts.kind === 'unreadable') {
      account.refuse(gatewayErrors.unreadable(facts))
      return
    }
    const { principal } = account
    if (principal === undefined || !mayUse(principal, facts.model)) {
      account.refuse(gatewayErrors.modelNotAllowed(facts.model))
      return
    }
    const served = this.#core.index?.names.get(facts.model)
    if (served === undefined) {
      account.refuse(gatewayErrors.modelNotFound(facts.model))
      return
    }
    account.countFor(served.name)
    account.stream = facts.stream
    new Exchange(this.#core, this.#route, account, { body, facts, tracestate: this.#head.tracestate }).begin()
  }

  /** Answers while the body may still be coming. */
  #refuse(error: GatewayError): void {
    const length = this.#head.contentLength
    const unread = !this.#request.complete && (length === undefined || length > DROPPED_BYTES)
    if (unread) this.#request.resume()
    this.#account.refuse(error, { unread })
  }
}

/** So much of an unwanted body is read and dropped, to keep the connection. */
const DROPPED_BYTES = 64 * 1024

/** No content type is taken for JSON, as the engines do. */
function isJson({ contentType, contentEncoding }: RequestHead): boolean {
  if (contentEncoding !== undefined && contentEncoding.toLowerCase() !== 'identity') return false
  return (
    contentType === undefined ||
    contentType === 'application/json' ||
    /^application\/json\s*(;|$)/i.test(contentType)
  )
}
