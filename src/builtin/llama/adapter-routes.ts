import { type Exchange, readJson, sendText } from './exchange.ts'
import { Fields } from './fields.ts'
import { invalidValue, type Refusal, refusal } from './refusal.ts'
import type { Finished, Serving } from './serving.ts'

/** `/v1/load_lora_adapter` and `/v1/unload_lora_adapter`, with vLLM's bodies and answers. */
export async function serveAdapterChange(
  change: 'load' | 'unload',
  serving: Serving,
  exchange: Exchange,
): Promise<Finished | Refusal> {
  const { options, task } = serving
  if (!options.runtimeAdapters) {
    return refusal(
      403,
      'not_supported',
      'adapters can be changed only when the engine runs with --runtime-lora',
    )
  }
  if (task.kind !== 'text') return refusal(400, 'not_supported', 'an embedding model takes no adapters')
  // A web page can send a form to loopback but not this type without being asked.
  if (!/^application\/json\b/.test(exchange.request.headers['content-type'] ?? '')) {
    return refusal(415, 'unsupported_media_type', 'send the body as application/json')
  }
  const read = await readJson(exchange.request)
  if (read.kind !== 'ok') return read.kind === 'gone' ? { kind: 'finished', outcome: 'aborted' } : read
  const fields = new Fields(read.body)
  const name = fields.string('lora_name')
  const path = fields.string('lora_path')
  const inPlace = fields.boolean('load_inplace') ?? false
  if (fields.problem !== undefined) return fields.problem
  if (name === undefined || (change === 'load' && path === undefined)) {
    return invalidValue('lora_name', "Both 'lora_name' and 'lora_path' must be provided.")
  }
  const result =
    change === 'load' ? await task.lanes.load(name, path ?? '', { inPlace }) : await task.lanes.unload(name)
  if (result.kind === 'refused') return result
  const done = change === 'load' ? 'added' : 'removed'
  sendText(exchange, 200, `Success: LoRA adapter '${name}' ${done} successfully.`)
  return { kind: 'finished', outcome: 'other' }
}
