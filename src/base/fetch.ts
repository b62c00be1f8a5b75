/**
 * The one transport between control, agent, gateway and CLI. `createControlApp().fetch` is one; over a socket
 * it is the global `fetch` with a base URL. Never used on the gateway's request path.
 */
export type Fetch = (request: Request) => Promise<Response>
