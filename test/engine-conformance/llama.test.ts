import { llama } from '../../src/engines/llama.ts'
import { engineConformance } from './suite.ts'
import { launchHere, writeTinyFiles, yardMissing } from './tiny-files.ts'

engineConformance('llama', () => yardMissing() ?? openLlama())

async function openLlama() {
  const files = await writeTinyFiles()
  const text = launchHere({ modelRef: files.model, contextTokens: 2048, maxConcurrency: 2 })
  return {
    engine: llama,
    text,
    // Far beyond what the tiny model was made for, so that an answer takes its time.
    long: { launch: { contextTokens: 40_000 }, maxTokens: 39_000 },
    embeddings: launchHere({ modelRef: files.embed, embeddings: true, contextTokens: 512 }),
    adapter: { name: 'tiny-lora', path: files.lora, changesAnswers: true },
    loadsSlowly: true,
    broken: [
      {
        what: 'a missing file',
        launch: { ...text, modelRef: files.missing },
        reason: 'missing_file',
        message: /missing\.gguf does not exist/,
      },
      {
        what: 'half a file',
        launch: { ...text, modelRef: files.truncated },
        reason: 'invalid_model',
        message: /truncated\.gguf: the file has \d+ bytes but its tensors need \d+/,
      },
      {
        what: 'no model at all',
        launch: { ...text, modelRef: files.garbage },
        reason: 'invalid_model',
        message: /garbage\.gguf/,
      },
      {
        what: 'an adapter that is missing',
        launch: { ...text, adapters: [{ name: 'lost', path: files.missing }] },
        reason: 'missing_file',
        message: /adapter "lost".*missing\.gguf/,
      },
      {
        what: 'a context that no machine holds',
        launch: { ...text, contextTokens: 4_194_304, maxConcurrency: 64 },
        reason: 'out_of_memory',
        message: /needs \d+ MiB/,
      },
    ],
    lacks: { rerank: 'llama does not rank' },
    exits: { idle: [0], busy: [0, 143] },
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}
