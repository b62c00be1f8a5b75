import { execFileSync } from 'node:child_process'
import type { Device } from '../../src/domain/node.ts'
import { vllm } from '../../src/engines/vllm.ts'
import { engineConformance } from './suite.ts'
import { launchHere, programMissing } from './tiny-files.ts'

const MODEL = process.env.YARD_TEST_VLLM_MODEL

engineConformance('vllm', () => {
  const missing = programMissing('vllm') ?? programMissing('nvidia-smi')
  if (missing !== undefined) return missing
  return MODEL === undefined ? 'name a small chat model (a path) in YARD_TEST_VLLM_MODEL' : openVllm(MODEL)
})

async function openVllm(modelRef: string) {
  const device = firstDevice()
  const text = launchHere({
    modelRef,
    devices: [device],
    bytesPerDevice: Math.floor(device.memoryBytes / 2),
    contextTokens: 2048,
    maxConcurrency: 4,
    engineArgs: { 'enforce-eager': true },
  })
  return {
    engine: vllm,
    text,
    long: { launch: {}, maxTokens: 1900 },
    loadsSlowly: true,
    broken: [
      {
        what: 'a missing directory',
        launch: { ...text, modelRef: '/no/such/model' },
        reason: 'missing_file',
        message: /\/no\/such\/model/,
      },
      {
        what: 'more memory for the weights than was granted',
        launch: { ...text, bytesPerDevice: 1 },
        reason: 'out_of_memory',
        message: /memory/,
      },
    ],
    exits: { idle: [0], busy: [0] },
    lacks: {
      embeddings: 'it needs a model of its own',
      rerank: 'it needs a model of its own',
      adapters: 'it needs an adapter of the model',
    },
  }
}

function firstDevice(): Device {
  const query = ['--query-gpu=index,uuid,name,memory.total', '--format=csv,noheader,nounits']
  const [line = ''] = execFileSync('nvidia-smi', query, { encoding: 'utf8', timeout: 10_000 }).split('\n')
  const [index = '', id = '', model = '', mebibytes = ''] = line.split(', ')
  return {
    id,
    index: Number(index),
    kind: 'cuda',
    model,
    memoryBytes: Number(mebibytes) * 2 ** 20,
    healthy: true,
  }
}
