import type { RequestListener } from 'node:http'

/**
 * A listener that can be opened before what it serves exists, so that a port in use is found before anything else is
 * touched and addresses are known while the parts are made. Until `set`, it answers 503 and asks to come again.
 */
export function lateListener(): { readonly listener: RequestListener; set(listener: RequestListener): void } {
  let serve: RequestListener = (_request, response) => {
    response.writeHead(503, { 'retry-after': '1', 'content-type': 'text/plain' }).end('starting\n')
  }
  return {
    listener: (request, response) => serve(request, response),
    set(listener) {
      serve = listener
    },
  }
}
