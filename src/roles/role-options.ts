import type { Option } from '../cli/command.ts'

const CONFIG: Option = { flags: '--config <file>', summary: 'settings as YAML; flags and YARD_* win over it' }
const DATA_DIR: Option = {
  flags: '--data-dir <dir>',
  summary: 'where state is kept ($XDG_STATE_HOME/yardmaster)',
}
const LOG_LEVEL: Option = { flags: '--log-level <level>', summary: 'debug, info, warn or error (info)' }
const TLS: readonly Option[] = [
  { flags: '--tls-cert-file <file>', summary: 'certificate chain, PEM' },
  { flags: '--tls-key-file <file>', summary: 'its key, PEM' },
  { flags: '--insecure', summary: 'listen beyond this machine without TLS' },
]
const JOIN: readonly Option[] = [
  { flags: '--server <url>', summary: 'control API' },
  { flags: '--join-token-file <file>', summary: 'needed once; make one with `yard node join-token`' },
]

export const DEV_OPTIONS: readonly Option[] = [
  DATA_DIR,
  { flags: '--gateway-port <port>', summary: 'OpenAI-compatible API (7700)' },
  { flags: '--control-port <port>', summary: 'control API and console (7701)' },
  { flags: '--agent-port <port>', summary: 'node agent (7702)' },
  { flags: '--engine-ports <first-last>', summary: 'ports for engines (20000-29999)' },
  { flags: '--no-model', summary: 'do not load the built-in model at the first start' },
  LOG_LEVEL,
  CONFIG,
]

export const SERVER_OPTIONS: readonly Option[] = [
  DATA_DIR,
  { flags: '--listen <host:port>', summary: 'control API and console (127.0.0.1:7701)' },
  { flags: '--gateway-listen <host:port>', summary: 'OpenAI-compatible API (127.0.0.1:7700)' },
  { flags: '--no-gateway', summary: 'control only' },
  { flags: '--gateway-url <url>', summary: 'where clients reach the gateways, as told to them' },
  {
    flags: '--allowed-hosts <names>',
    summary: 'names by which browsers may call control, beside its own (comma-separated; behind a proxy)',
  },
  {
    flags: '--etcd-endpoints <urls>',
    summary: 'keep state in this etcd (comma-separated) instead of the data directory',
  },
  { flags: '--etcd-prefix <prefix>', summary: 'key prefix in etcd' },
  { flags: '--etcd-user <name>', summary: 'user of etcd' },
  { flags: '--etcd-password-file <file>', summary: 'its password' },
  { flags: '--etcd-ca-file <file>', summary: 'certificate authority of etcd, PEM' },
  { flags: '--etcd-cert-file <file>', summary: 'our certificate for etcd, PEM' },
  { flags: '--etcd-key-file <file>', summary: 'its key, PEM' },
  {
    flags: '--pepper-file <file>',
    summary: 'secret that key hashes are made with; the same on every server',
  },
  ...TLS,
  LOG_LEVEL,
  CONFIG,
]

export const AGENT_OPTIONS: readonly Option[] = [
  DATA_DIR,
  ...JOIN,
  { flags: '--name <name>', summary: 'name of the node (the host name)' },
  { flags: '--label <key=value>', summary: 'label for node selectors', many: true },
  { flags: '--listen <host:port>', summary: 'where this agent listens (127.0.0.1:7702)' },
  { flags: '--advertise <url>', summary: 'where control and gateways reach it (the listening address)' },
  { flags: '--engine-ports <first-last>', summary: 'ports for engines (20000-29999)' },
  { flags: '--allow-command', summary: 'let engine `command` start programs of this machine' },
  ...TLS,
  LOG_LEVEL,
  CONFIG,
]

export const GATEWAY_OPTIONS: readonly Option[] = [
  DATA_DIR,
  ...JOIN,
  { flags: '--name <name>', summary: 'name of this gateway (the host name)' },
  { flags: '--listen <host:port>', summary: 'OpenAI-compatible API (127.0.0.1:7700)' },
  ...TLS,
  LOG_LEVEL,
  CONFIG,
]
