import { readdir, readFile, statfs } from 'node:fs/promises';
import { request } from 'node:https';
import { dirname, join } from 'node:path';
import { DaasError, type Journal, messageOf, systemClock } from '#base';
import type { ChainClient } from '#chain';
import type { GatewayEntry } from '#domain';
import { caHash, readBody, readJournal } from '#infrastructure';
import { isOurs, thisMachine } from '#install';
import type { GatewayAnswer, Probes, ServerCa, UnitState, WorkerFacts } from './doctor-check.ts';
import { teeState } from './doctor-tee.ts';
import {
  type Loaded,
  loadWorkerSettings,
  nodeIdOf,
  type SettingSources,
  settingWarnings,
} from './settings.ts';

/** Asks each thing once, whichever checks want it. */
export function probesOf(sources: SettingSources): Probes {
  const settings = once(() => loadWorkerSettings(sources));
  const env = sources.env ?? process.env;
  const client = once(async () => openChain(await settings()));
  const view = once(async () => {
    const chain = await client();
    const askedAtMs = Date.now();
    const [point, cluster] = await Promise.all([chain.client.point(), chain.client.cluster()]);
    return { point, cluster, hasTrustPin: chain.hasTrustPin, askedAtMs };
  });
  const k3s = once(async () => {
    const { inspectAgent } = await import('#agent');
    const loaded = await settings();
    const { binary, version, plan } = await inspectAgent(loaded.value.agent, env, nodeIdOf(loaded));
    return { binary, version, dataDir: plan.dataDir };
  });
  // Read beside a running host: what it writes next is none of this run's business.
  const journal = once(async () => readJournal(join((await settings()).value.stateDir, 'journal.json')));
  return {
    uid: process.geteuid?.() ?? 0,
    worker: once(async () => workerFacts(await settings())),
    chain: view,
    stake: once(async () => standingStake((await client()).client, nodeIdOf(await settings()))),
    balance: once(async () => balanceOf((await client()).client, await settings())),
    gateways: once(async () => {
      const { cluster } = await view();
      const [loaded, { client: reader }] = await Promise.all([settings(), client()]);
      return Promise.all(
        cluster.gateways.filter(({ isLive }) => isLive).map((gateway) => askGateway(gateway, loaded, reader)),
      );
    }),
    serverCa: once(async () => serverCa(await journal())),
    k3s,
    latch: once(async () => {
      const { readLatch } = await import('#host');
      return readLatch((await settings()).value.stateDir);
    }),
    tee: once(async () => teeState(await settings())),
    unit: once(unitState),
    text: (path) => readFile(path, 'utf8').catch(() => undefined),
    listening: once(listeningPorts),
    isAgentRunning: once(async () => isChildAlive(await journal())),
    space,
  };
}

function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}

async function workerFacts(settings: Loaded): Promise<WorkerFacts> {
  const { gasBudgets } = settings.value.chain;
  return {
    file: settings.file,
    nodeId: nodeIdOf(settings),
    stateDir: settings.value.stateDir,
    healthPort: settings.value.health.port,
    warnings: await settingWarnings(settings),
    gasMist: gasBudgets.mintMist,
  };
}

async function openChain(settings: Loaded): Promise<{ client: ChainClient; hasTrustPin: boolean }> {
  const [{ createChainClient }, { deploymentOf }, { chainAccessOf }] = await Promise.all([
    import('#chain'),
    import('./chain-settings.ts'),
    import('./chain-access.ts'),
  ]);
  const deployment = await deploymentOf(settings);
  const client = createChainClient({ ...(await chainAccessOf(settings)), deployment, clock: systemClock });
  return { client, hasTrustPin: deployment.trust !== undefined };
}

async function standingStake(chain: ChainClient, nodeId: string): ReturnType<Probes['stake']> {
  const id = await chain.liveRecordOf(nodeId);
  const record = id === undefined ? undefined : (await chain.records([id])).get(id);
  const token =
    record?.token === undefined ? undefined : (await chain.tokens([record.token])).get(record.token);
  return { record, token };
}

async function balanceOf(chain: ChainClient, settings: Loaded): ReturnType<Probes['balance']> {
  const { stakerOf } = await import('./chain-settings.ts');
  const { address } = await stakerOf(settings, { chain, nodeId: nodeIdOf(settings) });
  const { key, keyFile } = settings.value.wallet;
  const isElsewhere = key === undefined && keyFile === undefined;
  return { address, isElsewhere, mist: (await chain.balance(address)).coinsMist };
}

const patienceMs = 10_000;

/** A challenge commits neither side to anything, and shows the gateway's key and clock. */
async function askGateway(
  gateway: GatewayEntry,
  settings: Loaded,
  chain: ChainClient,
): Promise<GatewayAnswer> {
  const { url } = gateway;
  try {
    const [{ createGatewayConnector }, { stakerOf }, { openAttestor }] = await Promise.all([
      import('#api'),
      import('./chain-settings.ts'),
      import('./agent-attestor.ts'),
    ]);
    // Nothing is signed: the challenge comes before that.
    const nodeId = nodeIdOf(settings);
    const sign = () => Promise.reject(new Error('the doctor signs nothing'));
    const signer = { nodeId, holderKey: new Uint8Array(32), keyFor: () => new Uint8Array(32), sign };
    const { chainId } = chain.deployment;
    const attestor = await openAttestor(settings, { chainId, clock: systemClock });
    // Asked for by no challenge: whether the host makes any is enough here.
    const makesNone = settings.value.attestation.evidence.provider === 'none';
    const evidence = makesNone ? undefined : { make: sign };
    const options = { signer, clock: systemClock, timeoutMs: patienceMs, attestor, evidence };
    const connector = createGatewayConnector(options);
    const staker = (await stakerOf(settings, { chain, nodeId })).address;
    await using connection = connector.connect(gateway);
    const before = Date.now();
    const challenge = await connection.challenge({ nodeId, staker });
    return {
      url,
      clock: { theirsMs: challenge.timestampMs, oursMs: (before + Date.now()) / 2 },
      admissible: challenge.admissible,
      reason: challenge.reason,
    };
  } catch (error) {
    const code = error instanceof DaasError ? error.code : 'DAAS_UNEXPECTED';
    return { url, error: { code, message: messageOf(error) } };
  }
}

async function serverCa(journal: Journal): Promise<ServerCa | undefined> {
  const known = journal.read('agent/server') as { url?: unknown; caHash?: unknown } | undefined;
  if (typeof known?.url !== 'string' || typeof known.caHash !== 'string') return undefined;
  return { url: known.url, expected: known.caHash, found: caHash(await cacerts(known.url)) };
}

/** As an agent does that compares a hash: the certificate itself proves nothing yet. */
function cacerts(server: string): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const outgoing = request(
    new URL('/cacerts', server),
    { rejectUnauthorized: false, signal: AbortSignal.timeout(patienceMs) },
    (incoming) => {
      readBody(incoming, 1024 * 1024).then(resolve, reject);
    },
  );
  outgoing.once('error', reject);
  outgoing.end();
  return promise;
}

async function isChildAlive(journal: Journal): Promise<boolean> {
  const { isAlive, parseProcessIdentity } = await import('#infrastructure');
  const child = parseProcessIdentity(journal.read('agent/child'));
  return child !== undefined && isAlive(child);
}

async function unitState(): Promise<UnitState> {
  const properties = ['ActiveState', 'ExecMainStatus', 'ExecStart'].map((name) => `--property=${name}`);
  const { exitCode, output } = await thisMachine().run(['systemctl', 'show', 'k3s-agent', ...properties], {
    deadlineMs: patienceMs,
  });
  if (exitCode !== 0) return { active: undefined, exitCode: undefined, isOurs: false };
  const property = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(output)?.[1];
  return {
    active: property('ActiveState'),
    exitCode: Number(property('ExecMainStatus')),
    // { path=/usr/local/bin/k3s-daas ; argv[]=… }
    isOurs: isOurs([/\bpath=(\S+)/.exec(property('ExecStart') ?? '')?.[1] ?? '']),
  };
}

/** Local ports in state LISTEN (0A), from proc(5) net/tcp and net/tcp6. */
async function listeningPorts(): Promise<ReadonlySet<number>> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  );
  const lines = tables.flatMap((table) => table.split('\n').slice(1));
  return new Set(
    lines
      .map((line) => /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F:]+ 0A /.exec(line)?.[1])
      .flatMap((port) => (port === undefined ? [] : [Number.parseInt(port, 16)])),
  );
}

/** Of the directory, or of the nearest above it that is there. */
async function space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
  const isThere = await readdir(path).then(
    () => true,
    () => false,
  );
  if (!isThere && dirname(path) !== path) return space(dirname(path));
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}
