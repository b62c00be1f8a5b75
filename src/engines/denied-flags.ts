/**
 * Flags that no engine gets by way of `engineArgs`, with the reason. The allow-lists leave them out already; this
 * table is there to say why, and so that a later addition to a list can't let one in (a test compares them).
 */
export const DENIED_FLAGS: Readonly<Record<string, string>> = {
  ...because('it runs code that came with the model', 'trust-remote-code code-revision'),
  ...because(
    'it loads code from the node',
    'middleware tool-parser-plugin reasoning-parser-plugin logits-processors logits-processor-pattern worker-cls ' +
      'worker-extension-cls scheduler-cls custom-sigquit-handler enable-custom-logit-processor compilation-config ' +
      'io-processor-plugin model-impl forward-hooks load-plugins',
  ),
  ...because(
    'Yardmaster chooses where an engine listens, and under which key',
    'host port uds grpc headless root-path api-prefix fastapi-root-path reuse-port api-key api-key-file admin-api-key ' +
      'served-model-name alias tags model model-path model-tag model-url model-repo hf-repo docker-repo',
  ),
  ...because(
    'it opens ports between machines, which needs a network of its own',
    'data-parallel-address data-parallel-rpc-port data-parallel-external-lb data-parallel-hybrid-lb ' +
      'nnodes node-rank master-addr master-port dist-init-addr nccl-port rpc kv-transfer-config kv-events-config ' +
      'ec-transfer-config disaggregation-mode disaggregation-bootstrap-port remote-instance-weight-loader-seed-instance-ip',
  ),
  ...because('it lets requests read files of the node', 'allowed-local-media-path media-path'),
  ...because(
    'it lets the engine act by itself',
    'tool-server tools tools-runtime agent mcp-servers-config mcp-servers-json ui-mcp-proxy',
  ),
  ...because('it reads further settings from a file', 'config models-dir models-preset log-config-file'),
  ...because(
    'it writes prompts or answers to the log',
    'enable-log-requests enable-log-outputs log-requests log-requests-level verbose verbosity log-verbosity log-prompts-dir ' +
      'verbose-prompt dump-requests-folder crash-dump-folder',
  ),
  ...because(
    'it writes files where the request says',
    'slot-save-path log-file output path download-dir prompt-cache',
  ),
  ...because(
    'it opens control calls that need no key',
    'enable-sleep-mode props enable-server-dev-mode enable-weights-update',
  ),
  ...because('secrets do not belong on a command line', 'hf-token'),
  ...because('Yardmaster needs it on', 'disable-log-stats disable-metrics no-metrics'),
}

/** Whole families of them. */
export const DENIED_PREFIXES: readonly (readonly [prefix: string, reason: string])[] = [
  ['otlp-', 'it sends traces wherever it says'],
  ['ssl-', 'engines listen on loopback; the gateway and the agent speak TLS'],
  ['cors-', 'browsers reach engines through the gateway only'],
]

function because(reason: string, flags: string): Readonly<Record<string, string>> {
  return Object.fromEntries(flags.split(' ').map((flag) => [flag, reason]))
}
