import type { World } from './world.ts'

export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml', 'jsonl', 'name'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

export interface Column<Item> {
  readonly title: string
  readonly wide?: boolean
  value(item: Item): string
}

/**
 * Writes a list to stdout in the asked format. Tables have no borders and are never cut; an empty list writes
 * nothing to stdout in a table (`json` and `yaml` still write an empty list) and `emptyNote` to stderr.
 */
export async function writeList<Item>(
  world: World,
  format: OutputFormat,
  list: {
    items: readonly Item[]
    columns: readonly Column<Item>[]
    nameOf: (item: Item) => string
    emptyNote: string
  },
): Promise<void> {
  switch (format) {
    case 'json':
      return world.stdout.write(`${JSON.stringify({ items: list.items }, undefined, 2)}\n`)
    case 'yaml':
      return world.stdout.write(await yamlOf({ items: list.items }))
    case 'jsonl':
      return world.stdout.write(list.items.map((item) => `${JSON.stringify(item)}\n`).join(''))
    case 'name':
      return world.stdout.write(list.items.map((item) => `${list.nameOf(item)}\n`).join(''))
    default: {
      if (list.items.length === 0) return world.stderr.write(`${list.emptyNote}\n`)
      const columns = list.columns.filter((column) => format === 'wide' || !column.wide)
      world.stdout.write(
        tableOf(
          columns.map((column) => column.title),
          list.items.map((item) => columns.map((column) => column.value(item))),
        ),
      )
    }
  }
}

/** Writes one object; `text` is its form for people. */
export async function writeObject(
  world: World,
  format: OutputFormat,
  object: { value: unknown; name: string; text: () => string },
): Promise<void> {
  switch (format) {
    case 'json':
      return world.stdout.write(`${JSON.stringify(object.value, undefined, 2)}\n`)
    case 'yaml':
      return world.stdout.write(await yamlOf(object.value))
    case 'jsonl':
      return world.stdout.write(`${JSON.stringify(object.value)}\n`)
    case 'name':
      return world.stdout.write(`${object.name}\n`)
    default:
      world.stdout.write(object.text())
  }
}

/** Left-aligned columns, two spaces apart, sized for terminals that draw CJK two cells wide. */
export function tableOf(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = titles.map((title, at) => Math.max(cells(title), ...rows.map((row) => cells(row[at] ?? ''))))
  const line = (row: readonly string[]) =>
    row
      .map((text, at) =>
        at === row.length - 1 ? text : text + ' '.repeat((widths[at] ?? 0) - cells(text) + 2),
      )
      .join('')
      .trimEnd()
  return `${[line(titles), ...rows.map(line)].join('\n')}\n`
}

function cells(text: string): number {
  let count = 0
  for (const char of text)
    count +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/.test(
        char,
      )
        ? 2
        : 1
  return count
}

async function yamlOf(value: unknown): Promise<string> {
  const { stringify } = await import('yaml')
  return stringify(JSON.parse(JSON.stringify(value)))
}
