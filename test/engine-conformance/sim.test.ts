import { tmpdir } from 'node:os'
import { sim } from '../../src/engines/sim.ts'
import { engineConformance } from './suite.ts'
import { launchHere, yardMissing } from './tiny-files.ts'

engineConformance('sim', () => yardMissing() ?? openSim())

async function openSim() {
  const engineArgs = { speed: 1000, 'startup-ms': 300 }
  const text = launchHere({ modelRef: 'demo', contextTokens: 8192, maxConcurrency: 8, engineArgs })
  return {
    engine: sim,
    text,
    long: { launch: { engineArgs: { ...engineArgs, speed: 5 } }, maxTokens: 8000 },
    embeddings: { ...text, embeddings: true },
    rerank: { ...text, embeddings: true },
    adapter: { name: 'demo-lora', path: tmpdir(), changesAnswers: false },
    loadsSlowly: true,
    broken: [
      {
        what: 'a context that the cache does not hold',
        launch: { ...text, contextTokens: 4_000_000 },
        reason: 'context_too_long',
        message: /4000000 tokens needs [\d.]+ GiB.*contextTokens to \d+/,
      },
      {
        what: 'a device that is too small',
        launch: { ...text, engineArgs: { 'startup-fail': 'oom' } },
        reason: 'out_of_memory',
        message: /2\.00 GiB more were wanted/,
      },
      {
        what: 'a model that does not exist',
        launch: { ...text, engineArgs: { 'startup-fail': 'missing_model' } },
        reason: 'model_not_found',
        message: /demo/,
      },
    ],
    lacks: {},
    exits: { idle: [0], busy: [0] },
  }
}
