import { readlink, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { ConfigurationError, httpsOriginProblem } from '#base';
import { kubercLines, mergeKubeconfig, type PersonAccess, personKubeconfig } from '#cluster';
import { namespaceOfWallet } from '#domain';
import { makeTrustedDirectory, readCaBundle, readTrustedText, replaceFile } from '#infrastructure';
import { type LoginKey, loadLoginKeys, readLoginFile } from '#login';
import {
  type DeploymentOptions,
  type NetworkOptions,
  openClusterReader,
  withDeployment,
  withNetwork,
} from './chain-options.ts';
import { ownProgram } from './install-program.ts';
import type { Io } from './io.ts';

interface KubeconfigOptions extends NetworkOptions, DeploymentOptions {
  readonly login: string;
  readonly server?: string;
  readonly caFile?: string;
  readonly systemCa?: boolean;
  readonly namespace?: string;
  readonly name?: string;
  readonly anyCaller?: boolean;
  readonly out?: string;
  readonly merge?: string | true;
  readonly use?: boolean;
}

/** `k3s-daas kubeconfig`: a kubeconfig whose user is the login of a Seal token. */
export function kubeconfigCommand(io: Io): Command {
  return withDeployment(withNetwork(new Command('kubeconfig')))
    .description(
      'Write a kubeconfig with which kubectl, helm and the like log in by your Seal token. Printed, unless --out or --merge names a file.',
    )
    .requiredOption('--login <file>', 'the login file, which `k3s-daas stake --for user` writes')
    .option('--server <url>', 'the API server (default: the first that the cluster names on chain)')
    .option(
      '--ca-file <file>',
      'PEM of the CA of the server, such as /var/lib/rancher/k3s/server/tls/server-ca.crt',
    )
    .option('--system-ca', 'the certificate of the server is one that this machine trusts already')
    .option('--namespace <name>', 'the namespace of the context (default: that of the wallet)')
    .option(
      '--name <name>',
      'name of cluster, user and context (default: k3s-daas-<begin of the cluster id>)',
    )
    .option(
      '--any-caller',
      'for programs that do not tell the plugin which cluster they are for: it signs for them too, whatever server their context names',
    )
    .option('--out <file>', 'write it to this file, mode 0600')
    .option('--merge [file]', 'put it into an existing kubeconfig (default: ~/.kube/config)')
    .option('--use', 'with --merge: make it the current context')
    .action((options: KubeconfigOptions) => kubeconfig(io, options));
}

async function kubeconfig(io: Io, options: KubeconfigOptions): Promise<void> {
  refuseTwoTargets(options);
  const access = await accessOf(io, options);
  const hint = [
    '# If your kuberc allows listed credential plugins alone, add to it:',
    ...kubercLines(access.command),
  ].join('\n');
  const facts = {
    name: access.name,
    namespace: access.namespace,
    server: access.server,
    command: access.command,
  };
  if (options.merge !== undefined) {
    const named = resolve(options.merge === true ? join(homedir(), '.kube', 'config') : options.merge);
    const file = await targetOf(named);
    const before = await readExisting(file);
    await write(file, mergeKubeconfig(before, access, { file, use: options.use === true }));
    io.result({ ...facts, file, merged: true }, `${file} has the context ${access.name} now.\n${hint}`);
    return;
  }
  const text = personKubeconfig(access);
  if (options.out === undefined) return io.result({ ...facts, kubeconfig: text }, text.trimEnd());
  const file = resolve(options.out);
  await write(file, text);
  io.result({ ...facts, file, merged: false }, `export KUBECONFIG=${file}\n${hint}`);
}

function refuseTwoTargets({ out, merge, caFile, systemCa }: KubeconfigOptions): void {
  const twice = out !== undefined && merge !== undefined ? '--out and --merge' : undefined;
  const cas = caFile !== undefined && systemCa ? '--ca-file and --system-ca' : undefined;
  if (twice ?? cas)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `${twice ?? cas} exclude each other: pass one of them`,
    );
}

async function accessOf(io: Io, options: KubeconfigOptions): Promise<PersonAccess> {
  const loginFile = resolve(options.login);
  const { chainId, clusterId, wallet, key } = readLoginFile(loginFile);
  const server = options.server ?? (await serverOnChain(io, options, clusterId));
  const problem = httpsOriginProblem(server);
  if (problem !== undefined)
    throw new ConfigurationError('DAAS_KUBECONFIG_SERVER', `--server '${server}': ${problem}`);
  return {
    name: options.name ?? `k3s-daas-${clusterId.slice(2, 10)}`,
    server,
    serverCa: options.systemCa ? undefined : await serverCa(options.caFile),
    namespace: options.namespace ?? namespaceOfWallet(wallet),
    chainId,
    clusterId,
    command: await ownProgram(),
    args: ['credential', '--login', loginFile, ...(options.anyCaller ? ['--any-caller'] : [])],
    mayAsk: await hasPassphrase(key),
  };
}

/** Whether kubectl has to leave its terminal to the plugin. */
async function hasPassphrase(key: LoginKey): Promise<boolean> {
  if (key.kind !== 'file') return false;
  const { isEncrypted, readLoginKeyText } = await loadLoginKeys();
  try {
    return isEncrypted(readLoginKeyText(key.file));
  } catch {
    // The login itself says what is wrong with it, and the kubeconfig may be for another machine.
    return false;
  }
}

async function serverOnChain(io: Io, options: KubeconfigOptions, clusterId: string): Promise<string> {
  const client = await openClusterReader(io, options, clusterId);
  const [server] = (await client.cluster()).servers;
  if (server !== undefined) return server;
  throw new ConfigurationError(
    'DAAS_KUBECONFIG_SERVER',
    `the cluster ${clusterId} names no server on chain: pass --server https://HOST:6443`,
  );
}

async function serverCa(file: string | undefined): Promise<string> {
  if (file === undefined)
    throw new ConfigurationError(
      'DAAS_FLAG_MISSING',
      'nothing vouches for the server: pass --ca-file with the CA of the cluster (on a k3s server /var/lib/rancher/k3s/server/tls/server-ca.crt), or --system-ca when this machine trusts it already',
      { details: { flag: '--ca-file' } },
    );
  const text = await readTrustedText(file, { what: 'the CA of the server', origin: '--ca-file' });
  try {
    return readCaBundle(text).trusted.join('\n');
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_SERVER_CA_UNREADABLE',
      `${file} (--ca-file) holds no PEM certificate`,
      {
        cause,
      },
    );
  }
}

async function readExisting(file: string): Promise<string> {
  try {
    return await readTrustedText(file, { what: 'the kubeconfig', origin: '--merge' });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw cause;
  }
}

/** What a symbolic link leads to, also where there is nothing yet: to replace the link would part it from its target. */
async function targetOf(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch {
    const target = await readlink(file).catch(() => undefined);
    return target === undefined ? file : resolve(dirname(file), target);
  }
}

async function write(file: string, text: string): Promise<void> {
  makeTrustedDirectory(dirname(file), { what: 'the directory of the kubeconfig' });
  await replaceFile(file, text, 0o600);
}
