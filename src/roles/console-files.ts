import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

const SECURITY = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
}

const NOT_BUILT = 'The console was not built into this copy of yard. The control API is at /api/v1.\n'

/**
 * Answers GET for the console's files, or undefined for any other path. All files are read at the start and found
 * by an exact name, so a request can't name a path.
 */
export async function consoleFiles(dir: string): Promise<(request: Request) => Response | undefined> {
  const files = new Map<string, { body: Uint8Array<ArrayBuffer>; headers: Record<string, string> }>()
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  for (const name of names) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const body = new Uint8Array(await readFile(join(dir, name)))
    const path = `/${name.split(sep).join('/')}`
    files.set(path, {
      body,
      headers: {
        'content-type': type,
        etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
        'cache-control': path.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
        ...SECURITY,
      },
    })
  }
  return (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return undefined
    const { pathname } = new URL(request.url)
    const file = files.get(pathname === '/' ? '/index.html' : pathname)
    if (file === undefined)
      return pathname === '/'
        ? new Response(NOT_BUILT, { headers: { 'content-type': 'text/plain' } })
        : undefined
    if (request.headers.get('if-none-match') === file.headers.etag)
      return new Response(null, { status: 304, headers: file.headers })
    return new Response(request.method === 'HEAD' ? null : file.body, { headers: file.headers })
  }
}
