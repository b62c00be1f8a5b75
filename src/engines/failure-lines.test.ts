import { describe, expect, test } from 'vitest'
import { Failure } from '../domain/replica.ts'
import type { Engine } from './engine.ts'
import { FAILURE_REASONS, type FailureReason } from './failure-classes.ts'
import { llamaServer } from './llama-server.ts'
import { sglang } from './sglang.ts'
import { vllm } from './vllm.ts'

const CORE = '(EngineCore_DP0 pid=4121) ERROR 11-20 09:14:02 [core.py:718] '
const VLLM_SUMMARY =
  "(APIServer pid=4002) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}"

type Row = readonly [reason: FailureReason, lines: readonly string[], message: RegExp]

/** Lines as the engines print them; the summary that follows in vLLM must not win. */
const VLLM: readonly Row[] = [
  [
    'device_busy',
    [
      `${CORE}ValueError: Free memory on device cuda:0 (3.21/79.1 GiB) on startup is less than desired GPU memory utilization (0.92, 72.77 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.`,
      VLLM_SUMMARY,
    ],
    /3\.21 of 79\.1 GiB free, but 72\.77 GiB are wanted \(gpu-memory-utilization 0\.92\).*lower resources\.memoryBytes/,
  ],
  [
    'context_too_long',
    [
      `${CORE}ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (9.37 GiB). Based on the available memory, the estimated maximum model length is 76752. Try increasing \`gpu_memory_utilization\` or decreasing \`max_model_len\` when initializing the engine.`,
      VLLM_SUMMARY,
    ],
    /131072 tokens needs 16\.00 GiB of KV cache and 9\.37 GiB are left; set contextTokens to 76752 or less/,
  ],
  [
    'context_too_long',
    [
      "  Value error, User-specified max_model_len (65536) is greater than the derived max_model_len (max_position_embeddings=32768 or model_max_length=None in model's config.json). To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1. [type=value_error, input_value=ArgsKwargs(...)]",
    ],
    /made for a context of 32768 tokens and contextTokens asks for 65536/,
  ],
  [
    'out_of_memory',
    [
      `${CORE}ValueError: No available memory for the cache blocks. Try increasing \`gpu_memory_utilization\` when initializing the engine.`,
      VLLM_SUMMARY,
    ],
    /nothing is left for the KV cache.*resources\.memoryBytes/,
  ],
  [
    'out_of_memory',
    [
      `${CORE}torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 23.58 GiB of which 780.69 MiB is free. Process 9 has 22.80 GiB memory in use.`,
      VLLM_SUMMARY,
    ],
    /ran out when 1\.16 GiB more were wanted and 780\.69 MiB were free/,
  ],
  [
    'out_of_memory',
    ['RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB (NPU 0; 29.50 GiB total)'],
    /2\.00 GiB/,
  ],
  ['out_of_memory', [`${CORE}torch.OutOfMemoryError: Allocation on device`], /smaller or quantised model/],
  [
    'memory_race',
    [
      `${CORE}AssertionError: Error in memory profiling. Initial free memory 40.1 GiB, current free memory 44.9 GiB. This happens when other processes sharing the same container release GPU memory while vLLM is profiling during initialization.`,
    ],
    /40\.1 GiB free before, 44\.9 GiB after/,
  ],
  ['port_in_use', ['OSError: [Errno 98] Address already in use'], /taken by another process/],
  [
    'port_in_use',
    [
      "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 20001): address already in use",
    ],
    /taken by another process/,
  ],
  [
    'model_not_found',
    ['Repository Not Found for url: https://huggingface.co/api/models/acme/nope.'],
    /no https:\/\/huggingface\.co\/api\/models\/acme\/nope;/,
  ],
  [
    'model_not_found',
    [
      "OSError: acme/nope is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
    ],
    /no acme\/nope;/,
  ],
  [
    'missing_file',
    [
      'OSError: /models/qwen does not appear to have a file named config.json. Checkout https://huggingface.co//models/qwen/tree/main for available files.',
    ],
    /\/models\/qwen lacks config\.json/,
  ],
  [
    'missing_file',
    ['RuntimeError: Cannot find any model weights with `/models/qwen`'],
    /\/models\/qwen lacks weight files/,
  ],
  [
    'model_not_found',
    [
      'huggingface_hub.errors.LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder for the specified revision on the local disk',
    ],
    /not in this node's cache/,
  ],
  [
    'missing_file',
    [
      "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/nope'. Use `repo_type` argument if needed.",
    ],
    /^\/models\/nope is not there/,
  ],
  [
    'download_failed',
    [
      "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.",
    ],
    /https:\/\/huggingface\.co could not be reached/,
  ],
  [
    'access_denied',
    [
      'huggingface_hub.errors.GatedRepoError: 401 Client Error. (Request ID: Root=1-6)',
      'Cannot access gated repo for url https://huggingface.co/meta-llama/x/resolve/main/config.json.',
      'Access to model meta-llama/x is restricted. You must have access to it and be authenticated to access it.',
    ],
    /refuses meta-llama\/x: it is gated/,
  ],
  [
    'access_denied',
    [
      'ValueError: The repository /models/x contains custom code which must be executed to correctly load the model.',
    ],
    /run code of its own/,
  ],
  [
    'unsupported_model',
    [
      "ValueError: Model architectures ['Qwen9ForCausalLM'] are not supported for now. Supported architectures: dict_keys([...])",
    ],
    /can't serve \['Qwen9ForCausalLM'\]; update the engine/,
  ],
  [
    'unsupported_model',
    ["pydantic: Value error, Model architectures ['FooModel'] failed to be inspected. Please check the logs"],
    /\['FooModel'\]/,
  ],
  [
    'unsupported_dtype',
    [
      'ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5. You can use float16 instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half.',
    ],
    /compute capability 7\.5\) can't compute in bfloat16; set engineArgs\.dtype to half/,
  ],
  [
    'unsupported_device',
    [
      "ValueError: invalid literal for int() with base 10: 'MIG-377e0049-554c-540b-93c6-d0976f8426cb'",
      VLLM_SUMMARY,
    ],
    /MIG-377e0049/,
  ],
  [
    'bad_parallelism',
    ['ValueError: Total number of attention heads (28) must be divisible by tensor parallel size (8).'],
    /28 heads or parts over 8/,
  ],
  [
    'bad_argument',
    [
      'usage: vllm serve [model_tag] [options]',
      'vllm serve: error: unrecognized arguments: --max-nums-seqs 4',
    ],
    /unrecognized arguments: --max-nums-seqs 4/,
  ],
  [
    'bad_argument',
    ["vllm serve: error: argument --dtype: invalid choice: 'int3' (choose from 'auto', 'half')"],
    /argument --dtype: invalid choice/,
  ],
  [
    'bad_argument',
    [
      'Value error, max_num_batched_tokens (2048) must be greater than or equal to max_num_seqs (4096). [type=value_error, input_value=…]',
    ],
    /maxConcurrency 4096 is more than max-num-batched-tokens 2048/,
  ],
  [
    'bad_argument',
    [
      'pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig',
      '  Value error, Unknown quantization method: foo. Must be one of [...]. [type=value_error, input_value=ArgsKwargs((), {}), input_type=ArgsKwargs]',
    ],
    /refuses its configuration: Unknown quantization method: foo\. Must be one of \[\.\.\.\]\.$/,
  ],
  [
    'invalid_adapter',
    [`${CORE}ValueError: LoRA rank 64 is greater than max_lora_rank 16.`],
    /rank 64 and at most 16.*max-lora-rank to 64/,
  ],
  [
    'invalid_model',
    [
      'safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered',
    ],
    /incomplete metadata.*fetch them again/,
  ],
  [
    'collective_failed',
    [
      'torch.distributed.DistBackendError: NCCL error in: /pytorch/ProcessGroupNCCL.cpp:3356, unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5',
      'ncclUnhandledCudaError: Call to CUDA function failed.',
    ],
    /failed to talk to each other/,
  ],
  ['collective_failed', ['[0] NCCL WARN Cuda failure 2', VLLM_SUMMARY], /Cuda failure 2/],
  [
    'device_missing',
    ['RuntimeError: Failed to infer device type, please set the environment'],
    /sees no device/,
  ],
  ['device_missing', ['RuntimeError: No CUDA GPUs are available'], /sees no device/],
  [
    'device_missing',
    [
      'RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver',
    ],
    /\(CUDA 11040\) is too old/,
  ],
  [
    'device_fault',
    [`${CORE}RuntimeError: CUDA error: uncorrectable ECC error encountered`, VLLM_SUMMARY],
    /hardware fault/,
  ],
  ['disk_full', ['OSError: [Errno 28] No space left on device'], /\/dev\/shm/],
  ['program_missing', ["ModuleNotFoundError: No module named 'vllm'"], /no vllm/],
  ['engine_failed', ['something odd', VLLM_SUMMARY], /EngineCore_DP0/],
  ['engine_failed', ['(Worker_TP0 pid=9) WorkerProc initialization failed due to an exception'], /whole log/],
]

const SGLANG: readonly Row[] = [
  [
    'out_of_memory',
    [
      '[2026-11-20 10:00:00 TP0] Scheduler hit an exception: Traceback (most recent call last):',
      'RuntimeError: Not enough memory. Please try to increase --mem-fraction-static. Current value: mem_fraction_static=0.42',
      '[2026-11-20 10:00:01] Received sigquit from a child process. It usually means the child failed.',
    ],
    /mem-fraction-static 0\.42/,
  ],
  [
    'device_busy',
    [
      'ValueError: The memory capacity is unbalanced. Some GPUs may be occupied by other processes. pre_model_load_memory=10.2, local_gpu_memory=78.9',
      'Received sigquit from a child process. It usually means the child failed.',
    ],
    /different amounts of free memory.*local_gpu_memory=78\.9/,
  ],
  [
    'out_of_memory',
    [
      'Exception: Capture cuda graph failed: CUDA out of memory. Tried to allocate 512.00 MiB. GPU 0 has a total capacity of 24 GiB of which 100.00 MiB is free.',
    ],
    /512\.00 MiB more were wanted/,
  ],
  ['out_of_memory', ['Exception: Capture cuda graph failed: no kernel image'], /no kernel image/],
  [
    'engine_failed',
    ['Initialization failed. warmup error: AssertionError: res=<Response [500]>'],
    /first request after loading failed/,
  ],
  [
    'engine_failed',
    ['Received sigquit from a child process. It usually means the child failed.'],
    /scheduler ended/,
  ],
  [
    'bad_argument',
    ['launch_server.py: error: unrecognized arguments: --foo'],
    /unrecognized arguments: --foo/,
  ],
  ['program_missing', ["No module named sglang.launch_server; 'sglang' is not a package"], /no sglang/],
  ['bad_parallelism', ['AssertionError: 28 is not divisible by 8'], /28 heads or parts over 8/],
]

/** Copied from a run of llama-server 0.5.0, except the CUDA lines, which are from its source. */
const LLAMA_SERVER: readonly Row[] = [
  [
    'port_in_use',
    [
      "0.00.002.861 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 20987",
      '0.00.002.862 I srv    operator(): operator(): cleaning up before exit...',
      '0.00.002.912 E srv  llama_server: exiting due to HTTP server error',
    ],
    /port 20987 is taken/,
  ],
  [
    'missing_file',
    [
      '0.00.005.867 E common_fit_params: encountered an error while trying to fit params to free device memory: failed to load model',
      "0.00.005.883 E gguf_init_from_file: failed to open GGUF file 'missing.gguf' (No such file or directory)",
      '0.00.005.891 E llama_model_load: error loading model: llama_model_loader: failed to load model from missing.gguf',
      "0.00.005.894 E cmn  common_init_: failed to load model 'missing.gguf'",
      '0.00.006.398 E srv  llama_server: exiting due to model loading error',
    ],
    /^missing\.gguf is not there/,
  ],
  [
    'invalid_model',
    [
      "0.00.006.131 E gguf_init_from_reader: invalid magic characters: 'garb', expected 'GGUF'",
      '0.00.006.139 E llama_model_load: error loading model: llama_model_loader: failed to load model from garbage.gguf',
      "0.00.006.149 E cmn  common_init_: failed to load model 'garbage.gguf'",
    ],
    /not a GGUF file/,
  ],
  [
    'invalid_model',
    [
      "0.00.004.394 E llama_model_load: error loading model: tensor 'blk.0.attn_output.weight' data is not within the file bounds, model is corrupted or incomplete",
      "0.00.004.405 E srv    load_model: failed to load model, 'trunc.gguf'",
    ],
    /ends before tensor blk\.0\.attn_output\.weight/,
  ],
  [
    'invalid_model',
    [
      '0.00.005.831 E llama_model_load: error loading model: error loading model hyperparameters: key not found in model: llama.context_length',
      "0.00.005.849 E srv    load_model: failed to load model, 'noctx.gguf'",
    ],
    /lacks llama\.context_length/,
  ],
  [
    'invalid_model',
    ["0.00.005.847 E srv    load_model: failed to load model, 'odd.gguf'"],
    /odd\.gguf could not be loaded/,
  ],
  [
    'unsupported_model',
    [
      "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'foo'",
    ],
    /"foo"/,
  ],
  [
    'invalid_adapter',
    [
      "0.00.011.212 E llama_adapter_lora_init: failed to open 'nope.gguf': No such file or directory",
      "0.00.011.233 E cmn  common_init_: failed to load lora adapter 'nope.gguf'",
      "0.00.011.235 E cmn  common_init_: failed to create context with model 'base.gguf'",
      "0.00.011.237 E srv    load_model: failed to create_context with model 'base.gguf'",
    ],
    /adapter nope\.gguf could not be loaded/,
  ],
  ['bad_argument', ['error: invalid argument: --foo'], /does not know --foo/],
  ['bad_argument', ['error while handling argument "-c": stoi', '', 'usage:'], /value of -c \(stoi\)/],
  [
    'out_of_memory',
    [
      'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9021.12 MiB on device 0: cudaMalloc failed: out of memory',
      'llama_model_load: error loading model: unable to allocate CUDA0 buffer',
      "srv    load_model: failed to load model, 'm.gguf'",
    ],
    /CUDA0 buffer/,
  ],
  [
    'out_of_memory',
    ['ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 1073741825'],
    /CUDA0 buffer of 1025 MiB/,
  ],
  [
    'out_of_host_memory',
    [
      'llama_init_from_model: failed to initialize the context: std::bad_alloc',
      "srv    load_model: failed to create_context with model 'm.gguf'",
    ],
    /main memory/,
  ],
  [
    'out_of_memory',
    ["E srv    load_model: failed to create_context with model 'base.gguf'"],
    /no room for the context/,
  ],
  ['bad_argument', ['the server is built without SSL support'], /without TLS/],
]

function rows(engine: Engine, table: readonly Row[]): void {
  describe(`${engine.name} tells the cause from its lines`, () => {
    for (const [reason, lines, message] of table) {
      test(`${reason}: ${lines[0]?.slice(0, 100)}`, () => {
        const failure = engine.classify({ code: 1 }, ['INFO starting', ...lines])
        expect(failure.reason).toBe(reason)
        expect(failure.message).toMatch(message)
        expect(failure.retryable).toBe(FAILURE_REASONS[reason].retryable)
        expect(failure.deviceFault ?? false).toBe(FAILURE_REASONS[reason].deviceFault)
        expect(Failure.parse(failure)).toEqual(failure)
      })
    }
  })
}

rows(vllm, VLLM)
rows(sglang, SGLANG)
rows(llamaServer, LLAMA_SERVER)

test('the newest cause wins over an older one', () => {
  const failure = vllm.classify({ code: 1 }, [
    'OSError: [Errno 98] Address already in use',
    'INFO listening after all',
    'RuntimeError: No CUDA GPUs are available',
    VLLM_SUMMARY,
  ])
  expect(failure.reason).toBe('device_missing')
})
