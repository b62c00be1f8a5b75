/**
 * What an engine may inherit from the agent's environment: search path, home, language, caches, proxies and Hugging
 * Face's settings. Never what makes a program load foreign code (`LD_*`, `PYTHON*`, `NODE_OPTIONS`), never our own
 * settings (`YARD_*`), never what is not named here.
 */
export function inheritedEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix)))) {
      kept[name] = value
    }
  }
  return kept
}

const NAMES: ReadonlySet<string> = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'TZ',
  'TMPDIR',
  'XDG_CACHE_HOME',
  'XDG_DATA_HOME',
  'XDG_RUNTIME_DIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'CUDA_HOME',
  'ROCM_PATH',
  'ASCEND_HOME_PATH',
])

const PREFIXES = ['HF_', 'LC_']
