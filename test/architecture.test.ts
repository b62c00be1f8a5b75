import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..')
const SRC = join(ROOT, 'src')

/** The floors, as data: folder → what it may import. ARCHITECTURE.md holds the same table, and a test compares. */
const FLOORS: Readonly<Record<string, { floor: number; may: readonly string[]; node: boolean }>> = {
  base: { floor: 0, may: [], node: true },
  domain: { floor: 0, may: [], node: false },
  decide: { floor: 1, may: ['domain'], node: false },
  api: { floor: 1, may: ['base', 'domain'], node: false },
  store: { floor: 2, may: ['base', 'domain'], node: true },
  engines: { floor: 2, may: ['domain', 'decide'], node: false },
  builtin: { floor: 2, may: ['base', 'domain', 'engines'], node: true },
  gateway: { floor: 3, may: ['base', 'domain', 'decide', 'api', 'engines'], node: true },
  control: { floor: 3, may: ['base', 'domain', 'decide', 'api', 'store', 'engines'], node: true },
  agent: { floor: 3, may: ['base', 'domain', 'decide', 'api', 'engines'], node: true },
  cli: { floor: 3, may: ['base', 'domain', 'api'], node: true },
  console: { floor: 3, may: ['base', 'domain', 'api'], node: false },
  roles: {
    floor: 4,
    may: [
      'base',
      'domain',
      'decide',
      'api',
      'store',
      'engines',
      'builtin',
      'gateway',
      'control',
      'agent',
      'cli',
    ],
    node: true,
  },
}

/** Packages that a folder may import beside Node's own modules. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  domain: ['zod'],
  decide: [],
  api: ['zod'],
  engines: ['zod'],
  store: ['zod', '@grpc/grpc-js', '@grpc/proto-loader'],
  builtin: ['zod', 'node-llama-cpp', '@huggingface/jinja'],
  gateway: ['zod'],
  control: ['zod', 'hono'],
  agent: ['zod'],
  cli: ['zod', 'commander', 'yaml'],
  console: ['react', 'react-dom'],
  roles: ['zod', '@hono/node-server', 'yaml'],
  base: [],
}

/** Where time and randomness of the real world may be named. */
const REAL_WORLD = /^(base\/clock\.ts|base\/fake-clock\.ts|roles\/|console\/)/

interface SourceFile {
  readonly path: string
  readonly folder: string
  readonly text: string
  readonly imports: readonly string[]
}

const files = sourceFiles()

describe('the house', () => {
  it('has no folder that the table does not know', () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(folders.map((entry) => entry.name).filter((name) => !(name in FLOORS))).toEqual([])
  })

  it('lets imports point only where the table allows', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => relative(SRC, resolve(SRC, dirname(file.path), specifier)).split('/')[0] ?? '')
        .filter((target) => target !== file.folder && !FLOORS[file.folder]?.may.includes(target))
        .map((target) => `${file.path} -> ${target}`),
    )
    expect(wrong).toEqual([])
  })

  it('keeps floor-3 folders from importing one another', () => {
    const third = Object.entries(FLOORS).filter(([, row]) => row.floor === 3)
    for (const [name, row] of third) {
      expect(row.may.filter((other) => FLOORS[other]?.floor === 3 && other !== name)).toEqual([])
    }
  })

  it('keeps Node out of the pure folders', () => {
    const wrong = files
      .filter((file) => FLOORS[file.folder]?.node === false && file.folder !== 'console')
      .filter((file) => file.imports.some((specifier) => specifier.startsWith('node:')))
    expect(wrong.map((file) => file.path)).toEqual([])
  })

  it('lets each folder import only the packages chosen for it', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
        .map(packageName)
        .filter((name) => !PACKAGES[file.folder]?.includes(name))
        .map((name) => `${file.path} -> ${name}`),
    )
    expect(wrong).toEqual([])
  })

  it('takes time and randomness as arguments everywhere but at the edge', () => {
    const forbidden =
      /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|(?<![.\w])set(?:Timeout|Interval)\(|\bperformance\.now\(/
    const wrong = files.filter(
      (file) => !REAL_WORLD.test(file.path) && forbidden.test(withoutComments(file.text)),
    )
    expect(wrong.map((file) => file.path)).toEqual([])
  })

  it('never starts a shell', () => {
    const wrong = files.filter((file) =>
      /shell:\s*true|\bexecSync\(|\{[^}]*\bexec\b[^}]*\} from 'node:child_process'/.test(
        withoutComments(file.text),
      ),
    )
    expect(wrong.map((file) => file.path)).toEqual([])
  })

  it('has no file of nothing in particular', () => {
    const wrong = files.filter((file) =>
      /(^|\/)(utils?|helpers?|manager|service|common|misc)\b[^/]*\.tsx?$/.test(file.path),
    )
    expect(wrong.map((file) => file.path)).toEqual([])
  })

  it('keeps files short enough to have one reason each', () => {
    const long = files
      .map((file) => [file.path, file.text.split('\n').length] as const)
      .filter(([, lines]) => lines > 400)
    expect(long).toEqual([])
  })

  it('shows in ARCHITECTURE.md the table that is enforced here', () => {
    const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8')
    for (const [name, row] of Object.entries(FLOORS)) {
      if (name === 'roles') continue
      const may = row.may.length === 0 ? 'nothing' : row.may.map((other) => `\`${other}\``).join(', ')
      expect(text).toContain(`| ${row.floor} | \`${name}\` | ${may} |`)
    }
  })
})

function sourceFiles(): readonly SourceFile[] {
  return (readdirSync(SRC, { recursive: true }) as string[])
    .filter(
      (path) =>
        /\.tsx?$/.test(path) &&
        !/\.(test|testing)\.tsx?$/.test(path) &&
        path.includes('/') &&
        !path.endsWith('.d.ts'),
    )
    .map((path) => {
      const text = readFileSync(join(SRC, path), 'utf8')
      const found = text.matchAll(
        /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|^import\s+['"]([^'"]+)['"]/gm,
      )
      return {
        path,
        folder: path.split('/')[0] ?? '',
        text,
        imports: [...found].map((match) => match[1] ?? match[2] ?? match[3] ?? ''),
      }
    })
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
}
