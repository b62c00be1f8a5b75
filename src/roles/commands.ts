import type { Command } from '../cli/command.ts'
import { AGENT_OPTIONS, DEV_OPTIONS, GATEWAY_OPTIONS, SERVER_OPTIONS } from './role-options.ts'

/** The commands that start things; each loads its role when it runs. */
export const roleCommands: readonly Command[] = [
  {
    path: ['dev'],
    ownOptions: true,
    summary: 'Run everything on this machine: control plane, gateway and one node, with a model',
    options: DEV_OPTIONS,
    examples: [
      { line: 'yard dev', does: 'start, load the built-in model, print what to do next' },
      { line: 'yard dev --data-dir ./state --no-model', does: 'elsewhere, with nothing loaded' },
    ],
    run: async (invocation) => (await import('./dev.ts')).runDev(invocation),
  },
  {
    path: ['server'],
    ownOptions: true,
    summary: 'Run the control plane, with a gateway beside it',
    options: SERVER_OPTIONS,
    examples: [
      { line: 'yard server', does: 'on loopback, state in the data directory' },
      {
        line: 'yard server --listen 0.0.0.0:7701 --tls-cert-file c.pem --tls-key-file k.pem --etcd-endpoints http://10.0.0.5:2379',
        does: 'for other machines, state in etcd',
      },
    ],
    run: async (invocation) => (await import('./server.ts')).runServer(invocation),
  },
  {
    path: ['agent'],
    ownOptions: true,
    summary: 'Run a node: its devices serve what the control plane places there',
    options: AGENT_OPTIONS,
    examples: [
      {
        line: 'yard agent --server https://10.0.0.5:7701 --join-token-file token --listen 10.0.0.7:7702 --tls-cert-file c.pem --tls-key-file k.pem',
        does: 'join and serve',
      },
    ],
    run: async (invocation) => (await import('./agent.ts')).runAgentRole(invocation),
  },
  {
    path: ['gateway'],
    ownOptions: true,
    summary: 'Run a gateway: the OpenAI-compatible API over all ready replicas',
    options: GATEWAY_OPTIONS,
    examples: [
      {
        line: 'yard gateway --server https://10.0.0.5:7701 --join-token-file token --listen 0.0.0.0:7700 --insecure',
        does: 'serve clients',
      },
    ],
    run: async (invocation) => (await import('./gateway.ts')).runGatewayRole(invocation),
  },
]
