import type { FailureRule } from './failure-classes.ts'
import { SYSTEM_FAILURES } from './system-failures.ts'

/** vLLM and SGLang: PyTorch, NCCL, the hub client and argparse speak alike in both. */
export const PYTORCH_FAILURES: readonly FailureRule[] = [
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
  ...SYSTEM_FAILURES,
]
