import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATHS } from '#api';
import { Secret } from '#base';
import { createProofSigner, hashNodePassword, nodeKeyFromSeed, type ProofSigner } from '#seal';
import { type Change, createStore, openSqliteEngine } from '#state';
import { seededRandom } from '#testing';
import { GATEWAY_ID, STAKER } from '../src/gateway/ids.fixture.ts';
import { malformedRequest } from '../src/gateway/malformed.fixture.ts';
import { clientHello, Lane } from '../src/gateway/malformed-wire.fixture.ts';
import { toStored, workerKey } from '../src/gateway/stored-worker.ts';
import { makeTls } from '../src/gateway/tls.fixture.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';
import { benchGateway } from './bench-gateway.ts';

/**
 * Malformed requests by a seed against a whole gateway in a process of its own, and honest heartbeats beside them: statuses,
 * 5xx, whether the process lives, its resident memory by quarters, and the time of a heartbeat against that of a gateway at rest.
 * Ends with 1 when there was a 5xx or a crash.
 *
 * usage: node --conditions=source bench/malformed.ts [requests] [minutes at most] [seed]
 */
const [count = 1_000_000, minutes = 30, seed = 20_261_129] = process.argv.slice(2, 5).map(Number);
const lanes = 48;
const restMs = 10_000;
const beatEveryMs = 100;
const names = ['honest', 'culprit'] as const;
const seedOf = (name: string) => new Secret(Buffer.from(name.padEnd(32, '.')).toString('hex'));
const tokenOf = (name: string) => `0x${Buffer.from(name.padEnd(32, '.')).toString('hex')}`;

if (process.send) process.once('message', (tls: Parameters<typeof serve>[0]) => void serve(tls));
else await measure();

async function serve(tls: { readonly cert: string; readonly key: string }): Promise<void> {
  // It lives no longer than what measures it.
  process.once('disconnect', () => process.exit());
  const directory = await mkdtemp(join(tmpdir(), 'bench-malformed-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const rates = ['address', 'addressHandshake', 'handshake', 'node', 'token', 'stranger', 'lookup'];
  const raised = rates.flatMap((name) => [
    [`${name}Rate`, 1e6],
    [`${name}Burst`, 1e6],
  ]);
  // What comes from one address would be refused before it is read.
  const limits = { ...Object.fromEntries(raised), inFlight: 1e5, addressInFlight: 1e5, loopDelayMs: 1e6 };
  const { config, chain, kubernetes, start } = await benchGateway(directory, tls, { limits });
  const store = createStore(openSqliteEngine(join(config.stateDir, 'gateway.db')));
  const changes: Change[] = names.map((nodeId) => {
    const { publicKey } = nodeKeyFromSeed(seedOf(nodeId));
    const { recordId } = chain.stake(nodeId, publicKey, { announce: false });
    kubernetes.addNode(nodeId, { stakeRecordId: recordId });
    kubernetes.names.set(nodeId, 'basic');
    const holderKey = Buffer.from(publicKey).toString('base64url');
    const known = { nodeId, recordId, tokenId: tokenOf(nodeId), holderKey, registeredAtMs: Date.now() };
    return { key: workerKey(nodeId), value: toStored(aWorker(known), undefined) };
  });
  await store.write(changes);
  await store[Symbol.asyncDispose]();
  const running = await start();
  setInterval(() => chain.report(), 1_000);
  process.on('message', () => process.send?.({ rss: process.memoryUsage.rss(), cpu: process.cpuUsage() }));
  process.send?.({ port: Number(new URL(running.publicUrl).port) });
}

async function measure(): Promise<void> {
  const child = fork(new URL(import.meta.url), [], { execArgv: ['--conditions=source'] });
  let hasCrashed = false;
  child.once('exit', () => {
    hasCrashed = true;
  });
  child.send(await makeTls());
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const honest = heartbeats(port);
  console.error(`at rest for ${restMs / 1_000} s`);
  await delay(restMs);
  const idle = honest.take();
  const met = new Map<number, number>();
  const wrong: string[] = [];
  const memory: number[] = [];
  const watch = setInterval(async () => {
    if (hasCrashed) return;
    child.send('rss');
    const [{ rss }] = (await once(child, 'message')) as [{ rss: number }];
    memory.push(rss);
  }, 1_000);
  const startedAtMs = performance.now();
  const sent = await attack({ port, met, wrong, isOver: () => hasCrashed });
  const seconds = (performance.now() - startedAtMs) / 1_000;
  clearInterval(watch);
  const loaded = honest.take();
  const isAlive = !hasCrashed;
  console.log(
    JSON.stringify(
      {
        seed,
        sent,
        seconds: Math.round(seconds),
        isAlive,
        statuses: Object.fromEntries([...met].toSorted(([a], [b]) => a - b)),
        wrong: wrong.length,
        memoryMiB: quarters(memory),
        heartbeatMs: { idle, loaded },
      },
      undefined,
      2,
    ),
  );
  for (const one of wrong.slice(0, 10)) console.log(one);
  process.exit(isAlive && wrong.length === 0 ? 0 : 1);
}

interface Attack {
  readonly port: number;
  readonly met: Map<number, number>;
  readonly wrong: string[];
  readonly isOver: () => boolean;
}

/** @returns how many requests were sent. */
async function attack({ port, met, wrong, isOver }: Attack): Promise<number> {
  const nonces: string[] = [];
  const challengePath = `${PATHS.challenge}?node_id=culprit&staker=${STAKER}`;
  const fetchNonce = async () => {
    const { body } = await ask(port, { method: 'GET', path: challengePath });
    nonces.push(String((JSON.parse(body) as { nonce: string }).nonce));
  };
  await fetchNonce();
  let sequence = 0;
  const options = {
    random: seededRandom(seed),
    culprit: { nodeId: 'culprit', tokenId: tokenOf('culprit'), staker: STAKER, signer: signerOf('culprit') },
    audience: GATEWAY_ID,
    passwordHash: await hashNodePassword(new Secret('0123456789abcdef0123456789abcdef')),
    nowMs: Date.now,
    nonce: () => {
      if (nonces.length < 2) fetchNonce().catch(() => undefined);
      return nonces.pop();
    },
    incarnation: 1,
    sequence: () => ++sequence,
    clientHello: await clientHello(),
  };
  const endMs = performance.now() + minutes * 60_000;
  let sent = 0;
  const lane = async (): Promise<void> => {
    using own = new Lane(port);
    while (sent < count && performance.now() < endMs && !isOver()) {
      sent += 1;
      if (sent % 5_000 === 0) console.error(`${sent} of ${count}, ${wrong.length} wrong`);
      const malformed = await malformedRequest(options);
      const { statuses, text } = await own.send(malformed);
      for (const status of statuses) met.set(status, (met.get(status) ?? 0) + 1);
      if (statuses.some((status) => status >= 500))
        wrong.push(
          `${malformed.kind} ${statuses.join()} ${/"code":"(\w+)"/.exec(text)?.[1]}: ${Buffer.concat([
            ...malformed.pieces,
          ])
            .toString('latin1')
            .slice(0, 500)}`,
        );
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return sent;
}

function signerOf(name: string): ProofSigner {
  return createProofSigner(name, nodeKeyFromSeed(seedOf(name)));
}

/** Of an honest worker, ten a second over one connection; what fails counts as such. */
function heartbeats(port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  const signer = signerOf('honest');
  let times: number[] = [];
  let failed = 0;
  let sequence = 0;
  const usage = { cpu_percent: 1, memory_percent: 2, disk_percent: 3 };
  const beat = async () => {
    const common = { node_id: 'honest', timestamp: Date.now(), stake_status: 'active', stake_amount: '1000' };
    const body = JSON.stringify({ ...common, agent_state: 'ready', running_pods: 3, resource_usage: usage });
    const target = {
      sealTokenId: tokenOf('honest'),
      audience: GATEWAY_ID,
      method: 'POST',
      path: PATHS.heartbeat,
    };
    const freshness = { kind: 'sequence', incarnation: 1, sequence: ++sequence } as const;
    const proof = await signer.sign({ ...target, body, nowMs: Date.now(), freshness });
    const startedAtMs = performance.now();
    const { status } = await ask(port, { method: 'POST', path: PATHS.heartbeat, proof, body, agent });
    if (status === 200) times.push(performance.now() - startedAtMs);
    else failed += 1;
  };
  const run = async () => {
    for (;;) {
      await beat().catch(() => {
        failed += 1;
      });
      await delay(beatEveryMs);
    }
  };
  void run();
  return {
    /** Since the last time. */
    take() {
      const sorted = times.sort((a, b) => a - b);
      const at = (share: number) =>
        Math.round((sorted[Math.floor(sorted.length * share)] ?? Number.NaN) * 10) / 10;
      const figures = { count: sorted.length, failed, p50: at(0.5), p99: at(0.99) };
      times = [];
      failed = 0;
      return figures;
    },
  };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly proof?: string;
  readonly body?: string;
  readonly agent?: Agent;
}

function ask(
  port: number,
  { method, path, proof, body, agent }: Asked,
): Promise<{ status: number; body: string }> {
  const headers = {
    'content-type': 'application/json',
    ...(proof !== undefined && { 'x-seal-token': proof }),
    ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
  };
  const target = {
    host: '127.0.0.1',
    port,
    path,
    method,
    headers,
    rejectUnauthorized: false,
    agent: agent ?? false,
  };
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const outgoing = request(target, (reply) => {
    const chunks: Buffer[] = [];
    reply.on('data', (chunk: Buffer) => chunks.push(chunk));
    reply.once('end', () =>
      resolve({ status: reply.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
    );
    reply.once('error', reject);
  });
  outgoing.once('error', reject);
  outgoing.end(body);
  return promise;
}

/** The median of each quarter of the run, in MiB. */
function quarters(samples: readonly number[]): number[] {
  const size = Math.max(1, Math.floor(samples.length / 4));
  return [0, 1, 2, 3].map((at) => {
    const part = samples.slice(at * size, (at + 1) * size).toSorted((a, b) => a - b);
    return Math.round((part[Math.floor(part.length / 2)] ?? Number.NaN) / 1_048_576);
  });
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
