import { llamaServer } from '../../src/engines/llama-server.ts'
import { engineConformance } from './suite.ts'
import { launchHere, programMissing, writeTinyFiles } from './tiny-files.ts'

engineConformance('llama-server', () => programMissing('llama-server') ?? openLlamaServer())

async function openLlamaServer() {
  const files = await writeTinyFiles()
  const text = launchHere({ modelRef: files.model, contextTokens: 1024, maxConcurrency: 2 })
  return {
    engine: llamaServer,
    text,
    // It never holds more than the model was made for, but may shift that along without end.
    long: { launch: { engineArgs: { 'context-shift': true } }, maxTokens: 1_000_000 },
    embeddings: launchHere({
      modelRef: files.embed,
      embeddings: true,
      contextTokens: 512,
      maxConcurrency: 2,
    }),
    adapter: { name: 'tiny-lora', path: files.lora, changesAnswers: true },
    loadsSlowly: false,
    // It looks for a client that left only after a second without any answer to anybody (server-queue.cpp).
    pollMs: 1_500,
    broken: [
      {
        what: 'a missing file',
        launch: { ...text, modelRef: files.missing },
        reason: 'missing_file',
        message: /missing\.gguf is not there/,
      },
      {
        what: 'half a file',
        launch: { ...text, modelRef: files.truncated },
        reason: 'invalid_model',
        message: /the file ends before tensor \S+/,
      },
      {
        what: 'no model at all',
        launch: { ...text, modelRef: files.garbage },
        reason: 'invalid_model',
        message: /not a GGUF file/,
      },
      {
        what: 'an adapter that is missing',
        launch: { ...text, adapters: [{ name: 'lost', path: files.missing }] },
        reason: 'invalid_adapter',
        message: /adapter \S+missing\.gguf could not be loaded/,
      },
    ],
    lacks: {
      unknown_model: 'llama-server answers every model name with the one it serves',
      malformed_json: 'llama-server 0.5.0 answers 500 to what is no JSON',
      rerank: 'there is no built-in model that ranks',
      runtime_adapters: 'llama-server takes adapters only at start',
    },
    // A second SIGTERM ends it with 1 while a request is in flight.
    exits: { idle: [0], busy: [0, 1] },
    [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
  }
}
