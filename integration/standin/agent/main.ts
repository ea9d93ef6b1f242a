import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { sandboxId, shimsOf, startContainerd, startShim } from './containers.ts';
import { type AgentFlags, FlagError, HelpAsked, judgeFiles, readFlags } from './flags.ts';
import { agentFile, fetchClusterCa, parseToken, retrieveAgentConfiguration, type Token } from './join.ts';
import { runKubelet } from './kubelet.ts';
import { startLoadBalancer } from './load-balancer.ts';
import { dieWhenNobodyReads, logrus } from './log.ts';
import { ask, messageOf } from './request.ts';

/** Of `k3s` beside this file, which answers `--version` itself. */
const version = process.env.K3S_STANDIN_VERSION ?? 'unknown';

/** Every waiting time of k3s is divided by K3S_STANDIN_SPEED. */
const speed = Number(process.env.K3S_STANDIN_SPEED ?? 1);

class Fatal extends Error {}

const stopped = new AbortController();
/** The error that a SIGTERM finds an agent with which has not joined: k3s ends with it, and with code 1. */
let joinError: string | undefined = 'context canceled';

dieWhenNobodyReads();
const [command, ...argv] = process.argv.slice(2);
if (command === 'help' && argv[0] === 'agent') {
  try {
    await judgeFiles(process.env);
    showHelp();
  } catch (error) {
    fatal(error);
  }
} else if (command !== 'agent') {
  process.stderr.write(`this stand-in for k3s knows 'agent', 'help agent' and '--version' only\n`);
  process.exitCode = 1;
} else {
  listenToSignals();
  try {
    await runAgent(await readFlags(argv, process.env, hostname()));
  } catch (error) {
    if (!stopped.signal.aborted) fatal(error);
  }
}

function listenToSignals(): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (stopped.signal.aborted) process.exit(1);
      stopped.abort();
      if (joinError !== undefined) fatal(new Fatal(joinError));
      // The parts inside k3s are given a moment to end; their end is not waited for.
      setTimeout(() => process.exit(0), 100 / speed);
    });
}

function showHelp(): void {
  process.stdout.write('NAME:\n   k3s agent - Run node agent\n\nUSAGE:\n   k3s agent [OPTIONS]\n');
}

function fatal(error: unknown): never {
  if (error instanceof HelpAsked) {
    showHelp();
    process.exit(0);
  }
  if (error instanceof FlagError) {
    process.stdout.write(`Incorrect Usage: ${error.message}\n\n`);
    showHelp();
  }
  logrus('fatal', `Error: ${messageOf(error)}`);
  process.exit(1);
}

async function runAgent(flags: AgentFlags): Promise<void> {
  const { signal } = stopped;
  // argv, and with it anything given in it, disappears from `ps`.
  process.title = 'k3s agent';
  logrus(
    'warning',
    'This is a stand-in for k3s: it runs no containers. It keeps the join protocol, flags, logs and signals of k3s agent',
  );
  logrus('info', `Starting k3s agent ${version}`);
  if (flags.server === '') throw new Fatal('--server is required');
  if (!flags.rootless && process.getuid?.() !== 0) throw new Fatal('agent must be run as root');
  const credential = await readCredential(flags, signal);
  const server = new URL(flags.server);
  if (server.protocol !== 'https:')
    throw new Fatal(`only https:// URLs are supported, invalid scheme: ${flags.server}`);

  const balancer = await startLoadBalancer(flags.lbServerPort, server);
  logrus(
    'info',
    `Running load balancer k3s-agent-load-balancer 127.0.0.1:${flags.lbServerPort} -> [${server.host}] [default: ${server.host}]`,
  );
  const url = `https://127.0.0.1:${flags.lbServerPort}`;
  signal.addEventListener('abort', () => balancer.close());

  const token = await untilValid(flags, url, credential, signal);
  await untilConfigured(flags, url, token, signal);
  joinError = undefined;

  const containerdAddress =
    process.env.K3S_STANDIN_CONTAINERD_ADDRESS ?? '/run/k3s/containerd/containerd.sock';
  const containerd = startContainerd(flags.dataDir);
  logrus('info', `Running containerd -c ${agentFile(flags.dataDir, 'etc/containerd/config.toml')}`);
  containerd.once('exit', () => {
    if (!signal.aborted) fatal(new Fatal('containerd exited: signal: killed'));
  });
  // The server reports which addresses to balance over; the tunnel it also offers is not part of this stand-in.
  await ask({ url: `${url}/v1-k3s/apiservers`, ...kubeletCertificate(flags) }).catch(() => undefined);

  await runKubelet({
    flags,
    url,
    containerdAddress,
    pinnedPods: startPinnedPods(containerdAddress),
    speed,
    signal,
    onReady: () => {
      if (process.env.NOTIFY_SOCKET) {
        logrus('info', 'k3s agent is up and running');
        notifyReady(process.env.NOTIFY_SOCKET);
      }
    },
  });
}

/**
 * sd_notify(3). Node.js has no datagram sockets of this family; the sender lives on for a moment, because the service manager
 * looks up whose message it is.
 */
function notifyReady(socket: string): void {
  const send =
    'use Socket; ($a = shift) =~ s/^\\@/\\0/; socket(S, AF_UNIX, SOCK_DGRAM, 0); send(S, "READY=1\\n", 0, pack_sockaddr_un($a)); sleep 2';
  spawn('perl', ['-e', send, socket], { stdio: 'ignore', detached: true }).unref();
}

/** K3S_STANDIN_PODS=n: pods that nobody asked the API server for. */
function startPinnedPods(containerdAddress: string): Set<string> {
  const count = Number(process.env.K3S_STANDIN_PODS ?? 0);
  const ids = Array.from({ length: count }, (_, index) => sandboxId(`${containerdAddress} ${index}`));
  const running = new Set(shimsOf(containerdAddress).map(({ id }) => id));
  for (const id of ids) if (!running.has(id)) startShim(id, containerdAddress);
  return new Set(ids);
}

function kubeletCertificate({ dataDir }: AgentFlags): { ca: string; cert: string; key: string } {
  const read = (name: string) => readFileSync(agentFile(dataDir, name), 'utf8');
  return { ca: read('server-ca.crt'), cert: read('client-kubelet.crt'), key: read('client-kubelet.key') };
}

/** The file wins over the text, wherever each came from. It is read once; until it is there it is waited for, 4 minutes. */
async function readCredential({ token, tokenFile }: AgentFlags, signal: AbortSignal): Promise<string> {
  if (tokenFile === '') {
    if (token === '') throw new Fatal('--token is required');
    return token;
  }
  for (let attempt = 0; attempt < 120; attempt++) {
    try {
      return readFileSync(tokenFile, 'utf8').trim();
    } catch {
      logrus('info', `Waiting for ${tokenFile} to be available`);
      await sleep(2000 / speed, undefined, { signal });
    }
  }
  throw new Fatal('Timeout while trying to read the file');
}

/** Every 2 s, for ever: a wrong hash or address does not end k3s. */
async function untilValid(flags: AgentFlags, url: string, text: string, signal: AbortSignal): Promise<Token> {
  for (;;) {
    try {
      const token = parseToken(text);
      await fetchClusterCa(url, token);
      return token;
    } catch (error) {
      joinError = messageOf(error);
      logrus('error', `Failed to validate connection to cluster at ${flags.server}: ${joinError}`);
      await sleep(2000 / speed, undefined, { signal });
    }
  }
}

/** Every 5 to 10 s, for ever, at level info: a rejected credential does not end k3s either. */
async function untilConfigured(
  flags: AgentFlags,
  url: string,
  token: Token,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir, nodeName, nodeIp, rootless } = flags;
  const passwordFile = rootless
    ? agentFile(dataDir, 'etc/rancher/node/password')
    : '/etc/rancher/node/password';
  for (;;) {
    try {
      await retrieveAgentConfiguration({ url, token, dataDir, nodeName, nodeIp, passwordFile });
      return;
    } catch (error) {
      joinError = messageOf(error);
      logrus('info', `Waiting to retrieve agent configuration; server is not ready: ${joinError}`);
      await sleep((5000 + Math.random() * 5000) / speed, undefined, { signal });
    }
  }
}
