import { fork } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';
import { TLS_GROUPS } from '#api';
import { Secret } from '#base';
import { createProofSigner, nodeKeyFromSeed } from '#seal';
import { type Change, createStore, openSqliteEngine } from '#state';
import { GATEWAY_ID } from '../src/gateway/ids.fixture.ts';
import { toStored, workerKey } from '../src/gateway/stored-worker.ts';
import { makeTls } from '../src/gateway/tls.fixture.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';
import { benchGateway, storeMembers } from './bench-gateway.ts';

/**
 * A heartbeat over a kept TLS connection, CPU of the gateway's process, beside a bare Fastify server that verifies one Ed25519
 * signature over the same body, each in a process of its own, by turns. With `others`, beside a gateway where so many more workers
 * are registered instead, and the first has a thousand.
 *
 * usage: node --conditions=source bench/heartbeat.ts [heartbeats a turn] [turns] [others]
 */
const [beats = 1_200, turns = 6, others] = process.argv.slice(2, 5).map(Number);
const lanes = 16;
const path = '/api/v1/nodes/heartbeat';

interface Start {
  readonly kind: 'gateway' | 'bare';
  readonly tls: { readonly cert: string; readonly key: string };
  readonly bareKey: string;
  /** Workers that are registered and send nothing meanwhile. */
  readonly others: number;
}

const seedOf = (index: number) => new Secret((index + 1).toString(16).padStart(64, '0'));
const tokenOf = (index: number) => `0x${(index + 1).toString(16).padStart(64, '0')}`;

if (process.send) process.once('message', (start: Start) => void serve(start));
else await measure();

async function serve({ kind, tls, bareKey, others: idle }: Start): Promise<void> {
  // It lives no longer than what measures it, also when that fails.
  process.once('disconnect', () => process.exit());
  const port = kind === 'bare' ? await bare(tls, bareKey) : await gateway(tls, idle);
  process.on('message', () => process.send?.(process.cpuUsage()));
  process.send?.({ port });
}

async function bare(tls: Start['tls'], publicPem: string): Promise<number> {
  const publicKey = createPublicKey(publicPem);
  const app = Fastify({
    https: { ...tls, minVersion: 'TLSv1.3', ecdhCurve: TLS_GROUPS },
    keepAliveTimeout: 60_000,
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  app.post(path, async ({ headers, body }, reply) => {
    const signature = Buffer.from(String(headers['x-seal-token']), 'base64url');
    const isValid = await new Promise((resolve) => {
      verify(null, body as Buffer, publicKey, signature, (_error, good) => resolve(good));
    });
    JSON.parse(String(body));
    return reply.code(isValid ? 200 : 401).send({ status: 'acknowledged', timestamp: Date.now() });
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as { port: number }).port;
}

async function gateway(tls: Start['tls'], idle: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-heartbeat-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const parts = await benchGateway(directory, tls, {
    limits: { addressRate: 1e6, addressBurst: 1e6, tokenRate: 1e6, tokenBurst: 1e6 },
  });
  const { config, chain, kubernetes, start } = parts;
  const store = createStore(openSqliteEngine(join(config.stateDir, 'gateway.db')));
  const changes: Change[] = [];
  for (let index = 0; index < lanes; index += 1) {
    const nodeId = `worker-${index}`;
    const { publicKey } = nodeKeyFromSeed(seedOf(index));
    const { recordId } = chain.stake(nodeId, publicKey, { announce: false });
    kubernetes.addNode(nodeId, { stakeRecordId: recordId });
    kubernetes.names.set(nodeId, 'basic');
    const holderKey = Buffer.from(publicKey).toString('base64url');
    const member = aWorker({
      nodeId,
      recordId,
      tokenId: tokenOf(index),
      holderKey,
      registeredAtMs: Date.now(),
    });
    changes.push({ key: workerKey(nodeId), value: toStored(member, undefined) });
  }
  await store.write(changes);
  await store[Symbol.asyncDispose]();
  await storeMembers(parts, idle, 'idle');
  const running = await start();
  while (idle > 0 && chain.asked.tokens.flat().length < idle) await sleep(100);
  setInterval(() => chain.report(), 1_000);
  return Number(new URL(running.publicUrl).port);
}

async function measure(): Promise<void> {
  const tls = await makeTls();
  const pair = generateKeyPairSync('ed25519');
  const bareKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const isBare = others === undefined;
  const [ours, theirs] = await Promise.all([
    begin({ kind: 'gateway', tls, bareKey, others: isBare ? 0 : 1_000 }),
    begin({ kind: isBare ? 'bare' : 'gateway', tls, bareKey, others: others ?? 0 }),
  ]);
  const signers = Array.from({ length: lanes }, (_, index) =>
    createProofSigner(`worker-${index}`, nodeKeyFromSeed(seedOf(index))),
  );
  let sequence = 0;
  const body = (index: number) =>
    JSON.stringify({
      node_id: `worker-${index}`,
      timestamp: Date.now(),
      stake_status: 'active',
      stake_amount: '2000000000',
      agent_state: 'ready',
      running_pods: 3,
      resource_usage: { cpu_percent: 1, memory_percent: 2, disk_percent: 3 },
    });
  const proven = async (index: number) => {
    const text = body(index);
    const proof = await signers[index]?.sign({
      sealTokenId: tokenOf(index),
      audience: GATEWAY_ID,
      method: 'POST',
      path,
      body: text,
      nowMs: Date.now(),
      freshness: { kind: 'sequence', incarnation: 1, sequence: ++sequence },
    });
    return { text, header: proof ?? '' };
  };
  const plain = async (index: number) => {
    const text = body(index);
    return {
      text,
      header: sign(null, Buffer.from(text), pair.privateKey as KeyObject).toString('base64url'),
    };
  };
  for (let turn = 0; turn <= turns; turn += 1) {
    const gatewayUs = await cpuOf(ours, proven);
    const otherUs = await cpuOf(theirs, isBare ? plain : proven);
    // The first turn compiles.
    if (turn === 0) continue;
    const figures = isBare
      ? { bareUs: otherUs, ratio: otherUs / gatewayUs }
      : { others, withOthersUs: otherUs, ratioWithOthers: otherUs / gatewayUs };
    console.log(JSON.stringify({ turn, gatewayUs, ...figures }));
  }
  process.exit();
}

type Server = Awaited<ReturnType<typeof begin>>;

async function begin(start: Start) {
  const child = fork(new URL(import.meta.url), [], { execArgv: ['--conditions=source'] });
  child.send(start);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  // Each host keeps a connection of its own.
  const agents = Array.from(
    { length: lanes },
    () => new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false }),
  );
  return { child, port, agents };
}

async function cpuOf(
  { child, port, agents }: Server,
  make: (index: number) => Promise<{ text: string; header: string }>,
): Promise<number> {
  const usage = async () => {
    child.send('cpu');
    const [{ user, system }] = (await once(child, 'message')) as [NodeJS.CpuUsage];
    return user + system;
  };
  const before = await usage();
  const lane = async (agent: Agent, index: number): Promise<void> => {
    for (let sent = 0; sent < beats / lanes; sent += 1) await post(port, agent, await make(index));
  };
  await Promise.all(agents.map(lane));
  return Math.round((await usage()) - before) / beats;
}

function post(port: number, agent: Agent, { text, header }: { text: string; header: string }): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'x-seal-token': header,
  };
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, method: 'POST', agent, headers }, (reply) => {
      reply.resume();
      reply.once('end', () =>
        reply.statusCode === 200 ? resolve() : reject(new Error(`HTTP ${reply.statusCode}`)),
      );
    })
      .once('error', reject)
      .end(text);
  });
}
