import type { Launch } from './engine.ts'

/** Arguments that may name something else of the hub beside the model. */
const HUB_ARGS = [
  'tokenizer',
  'tokenizer-path',
  'hf-config-path',
  'speculative-config',
  'speculative-draft-model-path',
]

/** No telemetry; and no call to the hub when all that the engine needs stands on this node's disk. */
export function hubEnvironment(
  launch: Pick<Launch, 'modelRef' | 'engineArgs'>,
): Readonly<Record<string, string>> {
  const others = HUB_ARGS.flatMap((flag) => launch.engineArgs[flag] ?? [])
  const allLocal = [launch.modelRef, ...others].every((name) => String(name).startsWith('/'))
  return {
    DO_NOT_TRACK: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
    ...(allLocal ? { HF_HUB_OFFLINE: '1', TRANSFORMERS_OFFLINE: '1' } : {}),
  }
}
