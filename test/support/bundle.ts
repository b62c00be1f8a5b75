import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'vite'

/**
 * Makes one JavaScript file of a TypeScript program, for tests that need it as a process of its own (Node 20
 * cannot run TypeScript). `path` goes when the bundle is disposed.
 */
export async function bundle(entry: string): Promise<AsyncDisposable & { readonly path: string }> {
  const outDir = await mkdtemp(join(tmpdir(), 'yard-bundle-'))
  await build({
    configFile: false,
    logLevel: 'error',
    publicDir: false,
    build: {
      ssr: true,
      outDir,
      emptyOutDir: false,
      target: 'node20',
      minify: false,
      rollupOptions: { input: entry, output: { entryFileNames: 'program.mjs' } },
    },
    ssr: { noExternal: true },
  })
  return {
    path: join(outDir, 'program.mjs'),
    [Symbol.asyncDispose]: () => rm(outDir, { recursive: true, force: true }),
  }
}
