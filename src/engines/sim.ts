import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, Launch } from './engine.ts'
import { type FlagValues, flagWords } from './engine-args.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { SIM_FLAGS } from './sim-flags.ts'
import { templateProblems } from './template-problems.ts'
import { loraModules, vllm } from './vllm.ts'
import { ARGPARSE_EXIT_CODES, VLLM_FAILURES } from './vllm-failures.ts'

/** A server that behaves like vLLM without a model or a device (`yard engine sim`), down to its words. */
export const sim: Engine = {
  ...vllm,
  name: 'sim',
  deviceKinds: [],
  sources: ['sim'],
  programs: [],
  validate: (template) =>
    templateProblems(template, { engine: 'sim', sources: sim.sources, lora: sim.lora, flags: SIM_FLAGS }),
  command: simCommand,
  liveness: { method: 'GET', path: '/health', timeoutMs: 5_000, everyMs: 5_000, failuresToUnhealthy: 3 },
  classify: (exit, lines) => classifyFailure(exit, lines, VLLM_FAILURES, ARGPARSE_EXIT_CODES),
  stop: [
    { signal: 'SIGTERM', waitMs: 5_000 },
    { signal: 'SIGKILL', waitMs: 5_000 },
  ],
  readLoad: (text) => readEngineLoad('sim', text),
}

/** vLLM refuses to batch fewer tokens than sequences. */
const BATCHED_TOKENS = 8192

function simCommand(launch: Launch): Command {
  const [file, ...first] = launch.yardCommand
  const { adapters, maxConcurrency } = launch
  const lora = adapters.length > 0 || launch.engineArgs['enable-lora'] === true
  const derived: FlagValues = {
    ...(maxConcurrency !== undefined && maxConcurrency > BATCHED_TOKENS
      ? { 'max-num-batched-tokens': maxConcurrency }
      : {}),
    ...(launch.embeddings ? { runner: 'pooling' } : {}),
    ...(lora ? { 'enable-lora': true, 'max-loras': Math.min(Math.max(1, adapters.length), 8) } : {}),
  }
  return {
    file,
    argv: [
      ...first,
      'engine',
      'sim',
      `--model=${launch.modelRef}`,
      `--host=${launch.host}`,
      `--port=${launch.port}`,
      `--served-model-name=${launch.servedName}`,
      ...(launch.contextTokens === undefined ? [] : [`--max-model-len=${launch.contextTokens}`]),
      ...(maxConcurrency === undefined ? [] : [`--max-num-seqs=${maxConcurrency}`]),
      ...flagWords(SIM_FLAGS, { ...derived, ...launch.engineArgs }),
      ...loraModules(adapters),
    ],
    env: {
      ...deviceEnvironment([]),
      VLLM_API_KEY: launch.credential,
      ...(lora ? { VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' } : {}),
    },
  }
}
