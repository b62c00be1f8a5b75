import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hubAdapterFacts, hubFacts } from './hub-facts.ts'
import { invalid, type LocatedModel, missing, type Unusable } from './model-files.ts'

/** A directory with more entries is no model. */
const MAX_ENTRIES = 10_000
const MAX_JSON_BYTES = 32 * 1024 * 1024

/**
 * Looks at a directory in Hugging Face's layout: a model with `config.json`, or an adapter with `adapter_config.json`,
 * and weights as safetensors. Pickled weights (`.bin`, `.pt`) are refused: reading them runs what they hold.
 */
export async function locateHubDirectory(path: string): Promise<LocatedModel | Unusable> {
  const names = await readdir(path)
  if (names.length > MAX_ENTRIES)
    return invalid('not_a_model', `${path} has more than ${MAX_ENTRIES} entries`)
  const weights = names.filter((name) => name.endsWith('.safetensors'))
  const isAdapter = names.includes('adapter_config.json')
  const configName = isAdapter ? 'adapter_config.json' : 'config.json'
  if (!names.includes(configName)) {
    return invalid(
      'not_a_model',
      `${path} holds no config.json; give the directory of a model, or a .gguf file`,
    )
  }
  if (weights.length === 0) {
    return invalid('no_safetensors', `${path} holds no .safetensors files; other formats are not loaded`)
  }
  const config = await readJson(join(path, configName))
  if (config === undefined) return invalid('bad_config', `${join(path, configName)} is not JSON`)
  const lost = await missingShard(path, names)
  if (lost !== undefined)
    return missing(`${path} lacks ${lost}, which its index names; copy or download it again`)
  let fileBytes = 0
  for (const name of weights) fileBytes += (await stat(join(path, name))).size
  if (isAdapter) {
    const { facts, rank } = hubAdapterFacts(config, fileBytes)
    return { kind: 'located', modelRef: path, facts, ...(rank === undefined ? {} : { rank }) }
  }
  const hasChatTemplate =
    names.includes('chat_template.jinja') ||
    /"chat_template"/.test(await readText(join(path, 'tokenizer_config.json')).catch(() => ''))
  const facts = hubFacts(config, { weightBytes: fileBytes, fileBytes, hasChatTemplate })
  return { kind: 'located', modelRef: path, ...(facts === undefined ? {} : { facts }) }
}

/** A shard that the index names and the directory lacks. */
async function missingShard(path: string, names: readonly string[]): Promise<string | undefined> {
  const indexName = 'model.safetensors.index.json'
  if (!names.includes(indexName)) return undefined
  const index = await readJson(join(path, indexName))
  const map =
    typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined
  const present = new Set(names)
  return Object.values(map ?? {}).find(
    (name): name is string => typeof name === 'string' && !present.has(name),
  )
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readText(path))
  } catch {
    return undefined
  }
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > MAX_JSON_BYTES) throw new RangeError(`${path} is longer than ${MAX_JSON_BYTES} bytes`)
  return readFile(path, 'utf8')
}
