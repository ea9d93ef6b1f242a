#!/usr/bin/env node
import { chmod, copyFile, mkdir, readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startStandinServer } from './standin-server.ts';

const usage = `usage: node --conditions=source integration/standin/server/main.ts server [flags]

A STAND-IN for 'k3s server': the supervisor's endpoints and the part of the Kubernetes API that the gateway and the
agents use. It runs no containers and keeps everything but its CAs in memory. For development and tests only.

  --data-dir, -d DIR        where CAs, tokens and kubeconfigs are written (as k3s lays them out); required
  --https-listen-port PORT  default 6443; 0 takes a free one
  --bind-address ADDRESS    default 127.0.0.1
  --token-file FILE         the operator's static token; drawn when not given
  --write-kubeconfig FILE   also write the administrator's kubeconfig there
  --node-name NAME          a Node of the server's own, there from the start
  --node-grace-ms MS        silence after which a Node is Unknown; default 50000
  --orphan-pod-ms MS        age at which the pods of a Node that is gone are deleted; default 40000
  --password-sweep-ms MS    age at which a password Secret without a Node is swept; default 600000
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'data-dir': { type: 'string', short: 'd' },
    'https-listen-port': { type: 'string', default: '6443' },
    'bind-address': { type: 'string', default: '127.0.0.1' },
    'token-file': { type: 'string' },
    'write-kubeconfig': { type: 'string' },
    'node-name': { type: 'string' },
    'node-grace-ms': { type: 'string' },
    'orphan-pod-ms': { type: 'string' },
    'password-sweep-ms': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
const dataDir = values['data-dir'];
if (values.help || dataDir === undefined || (positionals[0] ?? 'server') !== 'server') {
  process.stderr.write(usage);
  process.exit(values.help ? 0 : 1);
}

const number = (text: string | undefined, name: string): number | undefined => {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) {
    process.stderr.write(`--${name} is '${text}': give a whole number\n`);
    process.exit(1);
  }
  return value;
};
const pace = Object.fromEntries(
  Object.entries({
    nodeGraceMs: number(values['node-grace-ms'], 'node-grace-ms'),
    orphanPodMs: number(values['orphan-pod-ms'], 'orphan-pod-ms'),
    passwordSweepMs: number(values['password-sweep-ms'], 'password-sweep-ms'),
  }).filter(([, value]) => value !== undefined),
);

await mkdir(dataDir, { recursive: true, mode: 0o700 });
const server = await startStandinServer({
  dataDir,
  port: number(values['https-listen-port'], 'https-listen-port') ?? 6443,
  host: values['bind-address'],
  pace,
  ...(values['token-file'] === undefined
    ? {}
    : { token: (await readFile(values['token-file'], 'utf8')).trim() }),
  ...(values['node-name'] === undefined ? {} : { serverNode: values['node-name'] }),
});
if (values['write-kubeconfig'] !== undefined) {
  await copyFile(server.adminKubeconfigPath, values['write-kubeconfig']);
  await chmod(values['write-kubeconfig'], 0o600);
}

// One line a machine can wait for, in the form of k3s' own log.
const say = (message: string) =>
  process.stderr.write(
    `time="${new Date().toISOString().replace(/\.\d{3}Z$/, 'Z')}" level=info msg="${message}"\n`,
  );
say('This is a stand-in for k3s server: it runs no containers, and no policies but those of K3s-DaaS');
say(`Listening on ${server.url}, kubeconfig ${server.adminKubeconfigPath}`);
say('k3s is up and running');

let isStopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    if (isStopping) process.exit(1);
    isStopping = true;
    server.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
