import type { FailureRule } from './failure-classes.ts'

/** What any program prints that can't listen, write or be found. */
const LISTEN_AND_FILES: readonly FailureRule[] = [
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
const DEVICES: readonly FailureRule[] = [
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

/** What stands behind the words of every engine. */
export const SYSTEM_FAILURES: readonly FailureRule[] = [...DEVICES, ...LISTEN_AND_FILES]
