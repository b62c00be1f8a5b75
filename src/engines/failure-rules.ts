import type { FailureRule } from './failure-classes.ts'

/** What any program prints that can't listen, write or be found. */
const SYSTEM: readonly FailureRule[] = [
  {
    reason: 'port_in_use',
    pattern:
      /\[Errno 98\].*[Aa]ddress already in use|EADDRINUSE|couldn't bind HTTP server socket, hostname: \S+, port: (\d+)|[Pp]ort (\d+)\b.*(?:is not available|already in use)/,
    message: (bound, named) =>
      `port ${bound || named || 'asked for'} is taken by another process on this node; end that process, or let the replica be placed again`,
  },
  {
    reason: 'disk_full',
    pattern: /No space left on device|ENOSPC/,
    message: () =>
      'a disk is full (the model cache, the temporary directory, or /dev/shm, which several devices share through); make room',
  },
  {
    reason: 'out_of_host_memory',
    pattern:
      /std::bad_alloc|\bMemoryError\b|Cannot allocate memory|DefaultCPUAllocator: can't allocate memory/,
    message: () =>
      'the machine ran out of main memory while the engine started; lower contextTokens or maxConcurrency, or use a machine with more',
  },
]

/** The device or its driver, by the words of the CUDA and HIP runtimes. */
const DEVICE: readonly FailureRule[] = [
  {
    reason: 'device_fault',
    pattern:
      /uncorrectable ECC error|cudaErrorECCUncorrectable|(?:GPU|device) is lost|fallen off the bus|hardware stack error|CUDA error: unspecified launch failure|hipErrorLaunchFailure|\bXid\b.*: (?:48|62|64|74|79|94|95)\b/i,
    message: () =>
      'the device reported a hardware fault; look at `nvidia-smi -q` or the kernel log, reset or replace it, and cordon the node until then',
  },
  {
    reason: 'device_missing',
    pattern:
      /Failed to infer device type|No CUDA GPUs are available|no CUDA-capable device is detected|CUDA-capable device\(s\) is\/are busy or unavailable|No HIP GPUs are available/,
    message: () =>
      'the engine sees no device; check that the driver works (`nvidia-smi`) and that this build of the engine is for it',
  },
  {
    reason: 'device_missing',
    pattern:
      /CUDA driver version is insufficient|The NVIDIA driver on your system is too old \(found version (\d+)\)/,
    message: (version) =>
      `this node's driver${version && ` (CUDA ${version})`} is too old for this build of the engine; update the driver or install an older build`,
  },
]

/** vLLM and SGLang: PyTorch, NCCL, the hub client and argparse speak alike in both. */
const PYTORCH: readonly FailureRule[] = [
  {
    reason: 'out_of_memory',
    pattern:
      /(?:CUDA|HIP|NPU) out of memory(?:\. Tried to allocate ([\d.]+ \w+))?(?:.*? of which ([\d.]+ \w+) is free)?/,
    message: (wanted, free) =>
      `the device's memory ran out${wanted && ` when ${wanted} more were wanted`}${free && ` and ${free} were free`}; lower contextTokens or maxConcurrency, use a smaller or quantised model, or more devices`,
  },
  {
    reason: 'out_of_memory',
    pattern: /torch\.(?:cuda\.)?OutOfMemoryError/,
    evidence: 'weak',
    message: () =>
      "the device's memory ran out; lower contextTokens or maxConcurrency, use a smaller or quantised model, or more devices",
  },
  {
    reason: 'access_denied',
    pattern:
      /GatedRepoError|401 Client Error|403 Client Error|Access to model (\S+) is restricted|Cannot access gated repo/,
    message: (repo) =>
      `the hub refuses ${repo || 'the model'}: it is gated or private; accept its licence there and give the agent a token in HF_TOKEN`,
  },
  {
    reason: 'model_not_found',
    pattern:
      /Repository Not Found for url: (\S+?)\.?$|Repository Not Found for url|(\S+) is not a local folder and is not a valid model identifier|Revision Not Found for url/,
    message: (url, name) =>
      `the hub has no ${url || name || 'such model'}; check the source's spelling and revision (a private one also needs HF_TOKEN)`,
  },
  {
    reason: 'missing_file',
    pattern:
      /(\S+) does not appear to have a file named (config\.json|\S+)|Cannot find any model weights with [`'"]?([^`'"]+)|Can't load the configuration of '([^']+)'/,
    message: (where, file, weights, config) =>
      `${where || weights || config || 'the model'} lacks ${file || (weights && 'weight files') || 'its configuration'}; it must be a whole model directory in Hugging Face's layout`,
  },
  {
    // What the hub client makes of a path that does not exist.
    reason: 'missing_file',
    pattern: /Repo id must be in the form .*?: '(\/[^']*)'/,
    message: (path) => `${path} is not there (or may not be read by the agent's user)`,
  },
  {
    reason: 'model_not_found',
    pattern: /LocalEntryNotFoundError|OfflineModeIsEnabled|offline mode is enabled/,
    message: () =>
      "the model is not in this node's cache and the hub may not be asked; fetch it first or use a file: source",
  },
  {
    reason: 'download_failed',
    pattern:
      /We couldn't connect to '([^']+)'|Max retries exceeded with url|Temporary failure in name resolution|ConnectTimeoutError/,
    message: (host) =>
      `${host || 'the hub'} could not be reached; check the network or set HF_ENDPOINT to a mirror`,
  },
  {
    reason: 'invalid_model',
    pattern:
      /SafetensorError: (.+)|Error while deserializing header: (\w+)|header too (?:large|small)|PytorchStreamReader failed/,
    message: (what, header) =>
      `the model's weights are damaged or incomplete (${what || header || 'unreadable'}); fetch them again`,
  },
  {
    reason: 'unsupported_model',
    pattern:
      /Model architectures (\[.*?\]) (?:are not supported|failed to be inspected)|model type [`'"](\w+)[`'"] but Transformers does not recognize|Unsupported architectures?: (\S+)/,
    message: (architectures, type, other) =>
      `this version of the engine can't serve ${architectures || type || other}; update the engine or choose another`,
  },
  {
    reason: 'access_denied',
    pattern: /contains custom code which must be executed|trust_remote_code=True/,
    message: () =>
      'the model wants to run code of its own, which is not allowed here; use a model that the engine knows by itself',
  },
  {
    reason: 'unsupported_dtype',
    pattern:
      /Bfloat16 is only supported on GPUs with compute capability of at least 8\.0(?:.*?capability (\d+\.\d+))?/,
    message: (capability) =>
      `this device${capability && ` (compute capability ${capability})`} can't compute in bfloat16; set engineArgs.dtype to half`,
  },
  {
    reason: 'unsupported_device',
    pattern: /invalid literal for int\(\) with base 10: '((?:GPU|MIG)-[^']+)'/,
    message: (device) =>
      `this version of the engine can't be given a device by its UUID (${device}); update the engine`,
  },
  {
    reason: 'bad_parallelism',
    pattern:
      /Total number of attention heads \((\d+)\) must be divisible by tensor parallel size(?: \((\d+)\))?|(\d+) is not divisible by (\d+)/,
    message: (heads, ranks, whole, part) =>
      `the model can't be split over this many devices (${heads || whole} heads or parts over ${ranks || part || 'them'}); ask for a number of devices that divides it`,
  },
  {
    reason: 'bad_argument',
    pattern: /(?:vllm serve|launch_server\.py|sglang serve|api_server\.py|-c): error: (.+)/,
    message: (what) => `the engine refuses its arguments: ${what}; correct engineArgs`,
  },
  {
    reason: 'bad_argument',
    pattern: /unrecognized arguments: (.+)/,
    message: (what) => `this version of the engine does not know ${what}; correct engineArgs or update it`,
  },
  {
    reason: 'collective_failed',
    pattern:
      /NCCL error|ncclUnhandledCudaError|ncclSystemError|ncclInternalError|ncclRemoteError|HCCL.*error/,
    message: () =>
      'the devices failed to talk to each other; look at the NCCL lines above (NCCL_DEBUG=INFO tells more), and check /dev/shm and the links between them',
  },
  {
    reason: 'collective_failed',
    pattern: /NCCL WARN (.+)/,
    evidence: 'weak',
    message: (what) => `the devices failed to talk to each other: ${what}`,
  },
  {
    reason: 'program_missing',
    pattern: /No module named '?((?:vllm|sglang)[\w.]*)'?/,
    message: (module) =>
      `the Python that was started has no ${module}; start the agent with the engine's environment first on its PATH`,
  },
]

/** Source: engines.md §1.7, vllm/v1/worker/gpu_worker.py, v1/core/kv_cache_utils.py, config/model.py. */
const VLLM: readonly FailureRule[] = [
  {
    reason: 'device_busy',
    pattern:
      /Free memory on device .*?\(([\d.]+)\/([\d.]+) GiB\) on startup is less than desired GPU memory utilization \(([\d.]+), ([\d.]+) GiB\)/,
    message: (free, total, share, wanted) =>
      `the device has ${free} of ${total} GiB free, but ${wanted} GiB are wanted (gpu-memory-utilization ${share}); another process uses it: end that one, or lower resources.memoryBytes`,
  },
  {
    reason: 'context_too_long',
    pattern:
      /max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory \(([\d.]+) GiB\)(?:.*?estimated maximum model length is (\d+))?/,
    message: (tokens, needed, available, fits) =>
      `a context of ${tokens} tokens needs ${needed} GiB of KV cache and ${available} GiB are left; ${fits ? `set contextTokens to ${fits} or less` : 'lower contextTokens'}, or give the model more memory`,
  },
  {
    reason: 'context_too_long',
    pattern:
      /User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \((\S*?=?(\d+))\b/,
    message: (asked, _derived, made) =>
      `the model was made for a context of ${made} tokens and contextTokens asks for ${asked}; set it to ${made} or less`,
  },
  {
    reason: 'out_of_memory',
    pattern: /No available memory for the cache blocks(?:.*?Available KV cache memory: (-?[\d.]+) GiB)?/,
    message: (left) =>
      `after the model's weights nothing is left for the KV cache${left && ` (${left} GiB)`}; give the model more memory (resources.memoryBytes), more devices, or a smaller or quantised model`,
  },
  {
    reason: 'memory_race',
    pattern:
      /Error in memory profiling\. Initial free memory(?: is)? ([\d.]+ ?\w*)(?:.*?current free memory(?: is)? ([\d.]+ ?\w*))?/,
    message: (before, after) =>
      `another process on the device gave back memory while vLLM measured it (${before} free before${after && `, ${after} after`}); it is tried again`,
  },
  {
    reason: 'bad_argument',
    pattern: /max_num_batched_tokens \((\d+)\) must be greater than or equal to max_num_seqs \((\d+)\)/,
    message: (batched, sequences) =>
      `maxConcurrency ${sequences} is more than max-num-batched-tokens ${batched}; lower the first or raise engineArgs.max-num-batched-tokens`,
  },
  {
    reason: 'invalid_adapter',
    pattern: /LoRA rank (\d+) is greater than max_lora_rank (\d+)/,
    message: (rank, most) =>
      `an adapter has rank ${rank} and at most ${most} is prepared for; set engineArgs.max-lora-rank to ${rank} or more`,
  },
  {
    reason: 'bad_argument',
    pattern: /Value error, (.+?)(?: \[type=value_error.*)?$/,
    evidence: 'weak',
    message: (what) => `the engine refuses its configuration: ${what}`,
  },
  {
    reason: 'engine_failed',
    pattern: /Engine core initialization failed\. See root cause above\. Failed core proc\(s\): (\{.*\})/,
    evidence: 'summary',
    message: (processes) =>
      `vLLM's core processes ended (${processes}) and their lines do not tell why; see the whole log`,
  },
  {
    reason: 'engine_failed',
    pattern: /EngineCore failed to start|WorkerProc initialization failed|EngineDeadError/,
    evidence: 'summary',
    message: () => "vLLM's core ended and its lines do not tell why; see the whole log",
  },
]

/** Source: engines.md §2, sglang/srt/model_executor/model_runner.py, managers/scheduler.py. */
const SGLANG: readonly FailureRule[] = [
  {
    reason: 'out_of_memory',
    pattern:
      /Not enough memory\. Please try to increase --mem-fraction-static\.?(?:.*?mem_fraction_static=([\d.]+))?/,
    message: (share) =>
      `after the model's weights nothing is left for the KV cache${share && ` (mem-fraction-static ${share})`}; give the model more memory (resources.memoryBytes), more devices, or a smaller or quantised model`,
  },
  {
    reason: 'device_busy',
    pattern: /The memory capacity is unbalanced\.?(.*)/,
    message: (rest) =>
      `the devices have different amounts of free memory, so another process uses one of them; end that one, or choose others${rest && `:${rest}`}`,
  },
  {
    reason: 'out_of_memory',
    pattern: /Capture cuda graph failed: (.+)/,
    evidence: 'weak',
    message: (what) =>
      `CUDA graphs could not be captured (${what}), mostly for want of memory; lower maxConcurrency or engineArgs.cuda-graph-max-bs`,
  },
  {
    reason: 'engine_failed',
    pattern: /Initialization failed\. warmup error: ?(.*)/,
    evidence: 'weak',
    message: (what) => `the first request after loading failed${what && `: ${what}`}`,
  },
  {
    reason: 'engine_failed',
    pattern: /Scheduler hit an exception: ?(.*)|Received sigquit from a child process/,
    evidence: 'summary',
    message: (what) =>
      `SGLang's scheduler ended${what && ` (${what})`} and its lines do not tell why; see the whole log`,
  },
]

/** llama.cpp 0.5.0, run: engines.md §3.7; also what node-llama-cpp prints, which is the same library. */
const LLAMA_CPP: readonly FailureRule[] = [
  {
    reason: 'out_of_memory',
    pattern: /allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed: out of memory/,
    message: (wanted, device) =>
      `device ${device} had no ${wanted} MiB left; lower contextTokens or maxConcurrency, use a smaller quantisation, or more devices`,
  },
  {
    reason: 'out_of_memory',
    pattern: /failed to allocate (\w+) buffer of size (\d+)|unable to allocate (\w+) buffer/,
    message: (buffer, bytes, other) =>
      `a ${buffer || other} buffer${bytes && ` of ${mib(bytes)} MiB`} could not be allocated; lower contextTokens or maxConcurrency, use a smaller quantisation, or more devices`,
  },
  {
    reason: 'invalid_adapter',
    pattern: /failed to (?:load|apply) lora adapter '([^']+)'/i,
    message: (path) =>
      `the adapter ${path} could not be loaded; it must be a GGUF adapter made for this model`,
  },
  {
    reason: 'missing_file',
    pattern: /failed to open (?:GGUF file )?'([^']+)' ?(?:\(No such file|: ?No such file)/,
    message: (path) => `${path} is not there (or may not be read by the agent's user)`,
  },
  {
    reason: 'invalid_model',
    pattern: /tensor '([^']+)' data is not within the file bounds/,
    message: (tensor) =>
      `the file ends before tensor ${tensor}: it is damaged or was not copied whole; fetch it again`,
  },
  {
    reason: 'unsupported_model',
    pattern: /unknown model architecture: '([^']*)'/,
    message: (architecture) =>
      `this version of llama.cpp does not know the architecture "${architecture}"; update it or choose another engine`,
  },
  {
    reason: 'invalid_model',
    pattern: /key not found in model: (\S+)/,
    message: (key) => `the file lacks ${key}, which its architecture needs; it was not made for serving`,
  },
  {
    reason: 'invalid_model',
    pattern: /invalid magic characters: '([^']*)'|invalid magic/,
    message: () => 'the file is not a GGUF file; point the source at one',
  },
  {
    reason: 'bad_argument',
    pattern: /error: invalid argument: (\S+)/,
    message: (flag) => `this version of llama-server does not know ${flag}; correct engineArgs or update it`,
  },
  {
    reason: 'bad_argument',
    pattern: /error while handling argument "([^"]+)": (.+)/,
    message: (flag, what) => `llama-server refuses the value of ${flag} (${what}); correct engineArgs`,
  },
  {
    reason: 'bad_argument',
    pattern: /the server is built without SSL support/,
    message: () =>
      'this llama-server was built without TLS and so can download nothing; fetch the model first and use a file: source',
  },
  {
    reason: 'invalid_model',
    pattern: /failed to load model,? (?:from )?'?([^']+)'?/,
    evidence: 'weak',
    message: (path) =>
      `${path} could not be loaded as a model; see the lines above for what is wrong with it`,
  },
  {
    reason: 'out_of_memory',
    pattern: /failed to create_context with model '([^']+)'|failed to create context/,
    evidence: 'weak',
    message: () => 'no room for the context; lower contextTokens or maxConcurrency',
  },
]

export const VLLM_FAILURES: readonly FailureRule[] = [...VLLM, ...PYTORCH, ...DEVICE, ...SYSTEM]
export const SGLANG_FAILURES: readonly FailureRule[] = [...SGLANG, ...PYTORCH, ...DEVICE, ...SYSTEM]
export const LLAMA_CPP_FAILURES: readonly FailureRule[] = [...LLAMA_CPP, ...DEVICE, ...SYSTEM]
export const COMMAND_FAILURES: readonly FailureRule[] = [...DEVICE, ...SYSTEM]

function mib(bytes: string): number {
  return Math.ceil(Number(bytes) / 2 ** 20)
}
