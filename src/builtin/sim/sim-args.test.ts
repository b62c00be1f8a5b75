import { describe, expect, it } from 'vitest'
import { parseSimArgs } from './sim-args.ts'
import { capacityOf } from './sim-options.ts'

function options(line: string, env: Record<string, string> = {}) {
  const parsed = parseSimArgs(line.split(' '), env)
  if (parsed.kind !== 'options') throw new Error(JSON.stringify(parsed))
  return parsed.options
}

function complaint(line: string) {
  const parsed = parseSimArgs(line.split(' '))
  return parsed.kind === 'error' ? parsed : undefined
}

describe('the arguments of the simulated engine', () => {
  it("read vLLM's flags and the simulation's", () => {
    expect(
      options(
        '--model m --served-model-name a b --host 0.0.0.0 --port 20001 --max-model-len 32K --max-num-seqs 64 ' +
          '--max-num-batched-tokens 4k --block-size 32 --num-gpu-blocks-override 5000 --gpu-memory-utilization 0.5 ' +
          '--enable-lora --max-loras 4 --lora-modules x=/a/x {"name":"y","path":"/a/y"} --shutdown-timeout 30 ' +
          '--seed 7 -tp 2 --speed 10 --profile constant:20 --startup-ms 500 --startup-fail oom --mode echo',
      ),
    ).toMatchObject({
      model: 'm',
      servedModelNames: ['a', 'b'],
      host: '0.0.0.0',
      port: 20_001,
      maxModelLen: 32_768,
      maxNumSeqs: 64,
      maxNumBatchedTokens: 4000,
      blockSize: 32,
      numGpuBlocksOverride: 5000,
      gpuMemoryUtilization: 0.5,
      enableLora: true,
      maxLoras: 4,
      loraModules: [
        { name: 'x', path: '/a/x' },
        { name: 'y', path: '/a/y' },
      ],
      shutdownTimeoutMs: 30_000,
      seed: 7,
      tensorParallelSize: 2,
      speed: 10,
      profile: { name: 'constant:20' },
      startupMs: 500,
      startupFail: 'oom',
      mode: 'echo',
    })
  })

  it('take the model as a bare word, equals signs and underscores', () => {
    expect(options('some/model --max_num_seqs=3')).toMatchObject({
      model: 'some/model',
      servedModelNames: ['some/model'],
      maxNumSeqs: 3,
    })
  })

  it('listen on loopback and port 8000 without flags', () => {
    expect(options('--model m')).toMatchObject({
      host: '127.0.0.1',
      port: 8000,
      maxNumSeqs: 256,
      blockSize: 16,
    })
  })

  it('take the key from the flag, then from the environment', () => {
    const env = { VLLM_API_KEY: 'v', YARD_ENGINE_KEY: 'y' }
    expect(options('--model m --api-key a b', env).apiKeys).toEqual(['a', 'b'])
    expect(options('--model m', env).apiKeys).toEqual(['v'])
    expect(options('--model m', { YARD_ENGINE_KEY: 'y' }).apiKeys).toEqual(['y'])
    expect(options('--model m').apiKeys).toEqual([])
  })

  it('allow adapters at run time by the environment', () => {
    expect(options('--model m').runtimeLora).toBe(false)
    expect(options('--model m', { VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' }).runtimeLora).toBe(true)
  })

  it('accept and ignore common flags that mean nothing here', () => {
    expect(
      options('--model m --dtype bfloat16 --trust-remote-code --max-lora-rank 16 --enforce-eager').model,
    ).toBe('m')
  })

  it("are refused with argparse's words and exit code 2", () => {
    expect(complaint('--model m --frobnicate 3 --nope')).toEqual({
      kind: 'error',
      exitCode: 2,
      message:
        'usage: vllm serve [model_tag] [options]\nvllm serve: error: unrecognized arguments: --frobnicate 3 --nope\n',
    })
    for (const [line, words] of [
      ['--port 8000', 'the following arguments are required: --model'],
      ['--model m --port', 'argument --port: expected one argument'],
      ['--model m --port x', "argument --port: invalid int value: 'x'"],
      ['--model m --port 70000', 'argument --port: value out of range: 70000'],
      ['--model m --max-num-seqs 0', 'argument --max-num-seqs: value out of range: 0'],
      ['--model m --speed 0', 'argument --speed: value out of range: 0'],
      ['--model m --mode loud', "argument --mode: invalid choice: 'loud' (choose from 'random', 'echo')"],
      ['--model m --profile h900', "argument --profile: invalid choice: 'h900'"],
      ['--model m --enable-lora=yes', "argument --enable-lora: ignored explicit argument 'yes'"],
      ['--model m --enable-lora --lora-modules x', "Invalid LoRA module: 'x'"],
      ['--model m --lora-modules x=y', 'needs --enable-lora'],
      ['--model m --max-num-batched-tokens 8', 'must be greater than or equal to max_num_seqs (256)'],
    ])
      expect(complaint(line ?? '')?.message, line).toContain(words)
  })

  it('explain themselves', () => {
    expect(parseSimArgs(['--help'])).toMatchObject({
      kind: 'help',
      text: expect.stringContaining('--startup-fail'),
    })
  })
})

describe('the KV cache', () => {
  it('is sized from the device, from bytes, or as told', () => {
    expect(capacityOf(options('--model m --gpu-memory-utilization 0.5'))).toEqual({
      kind: 'fits',
      numBlocks: Math.floor(((40 - 15 - 2) * 2 ** 30) / (16 * 131_072)),
      maxModelLen: 32_768,
    })
    expect(capacityOf(options('--model m --kv-cache-memory-bytes 1G'))).toMatchObject({ numBlocks: 512 })
    expect(capacityOf(options('--model m --num-gpu-blocks-override 10'))).toEqual({
      kind: 'fits',
      numBlocks: 10,
      maxModelLen: 160,
    })
  })

  it('refuses a model length it cannot hold, and memory that is not there', () => {
    expect(capacityOf(options('--model m --num-gpu-blocks-override 10 --max-model-len 161'))).toMatchObject({
      kind: 'kv_too_small',
      estimatedMaxModelLen: 160,
    })
    expect(capacityOf(options('--model m --gpu-memory-utilization 0.1'))).toEqual({ kind: 'no_kv_memory' })
  })
})
