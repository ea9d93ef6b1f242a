import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKubernetes } from '#cluster';
import { passwordSecretName } from '../src/cluster/words.ts';
import { testTls } from '../src/gateway/tls.fixture.ts';
import { type ApiServer, startApiServer } from './api-server.ts';
import { benchGateway } from './bench-gateway.ts';
import { costOfEach, round } from './cpu.ts';
import { type Newcomer, openRegistering, type Registering } from './registrations.ts';

/**
 * CPU of the gateway for an admission by the real Kubernetes client, from the proof of a new worker to its join credential, with few
 * and with many names admitted, by turns; and of as many bare reads of one Secret by Node's own HTTPS client. The API server is a
 * stand-in, in a process of its own for each.
 *
 * usage: node --conditions=source bench/admission.ts [admissions a turn] [turns] [few] [many]
 */
const [count = 128, turns = 6, few = 100, many = 5_000] = process.argv.slice(2).map(Number);
/** As many as a gateway works on at once. */
const lanes = 8;
const directory = await mkdtemp(join(tmpdir(), 'bench-admission-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const tls = await testTls();

async function openWith(members: number, server: ApiServer): Promise<Registering> {
  const parts = await benchGateway(await mkdtemp(join(directory, 'gateway-')), tls, {
    admit: { maxNodes: 100_000 },
  });
  const kubernetes = openKubernetes({ kubeconfig: { text: server.kubeconfig } });
  return openRegistering(parts, members, { kubernetes });
}

async function admitted(gateway: Registering): Promise<number> {
  const newcomers = await gateway.newcomers(count);
  const { cpuUs } = await costOfEach(count, lanes, (index) => gateway.register(newcomers[index] as Newcomer));
  await gateway.forget(newcomers);
  return cpuUs;
}

/** How many requests one admission sends. */
async function requestsOf(gateway: Registering): Promise<number> {
  let requests = 0;
  const counted = () => {
    requests += 1;
  };
  subscribe('undici:request:create', counted);
  await admitted(gateway);
  unsubscribe('undici:request:create', counted);
  return requests / count;
}

function openBare({ url }: ApiServer): () => Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: lanes, ca: tls.cert });
  const role = `${url}/api/v1/namespaces/kube-system/secrets/${passwordSecretName('worker-1')}`;
  return () =>
    new Promise((resolve, reject) => {
      request(role, { agent, headers: { accept: 'application/json' } }, (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.once('end', () => {
          JSON.parse(Buffer.concat(chunks).toString('utf8'));
          resolve();
        });
      })
        .once('error', reject)
        .end();
    });
}

using serverOfFew = await startApiServer(few, tls);
using serverOfMany = await startApiServer(many, tls);
await using withFew = await openWith(few, serverOfFew);
await using withMany = await openWith(many, serverOfMany);
const requests = await requestsOf(withFew);
await admitted(withMany);
const readBare = openBare(serverOfFew);
for (let turn = -1; turn <= turns; turn += 1) {
  const fewUs = await admitted(withFew);
  const manyUs = await admitted(withMany);
  const { cpuUs: readUs } = await costOfEach(count * Math.round(requests), lanes, readBare);
  // The first turns compile.
  if (turn < 1) continue;
  console.log(
    JSON.stringify({
      turn,
      requests: round(requests, 1),
      bareReadsUs: round(readUs * requests),
      names: few,
      admissionMs: round(fewUs / 1_000, 2),
      many,
      withManyMs: round(manyUs / 1_000, 2),
      ratioWithMany: round(manyUs / fewUs, 2),
      ratio: round((readUs * requests) / manyUs, 2),
    }),
  );
}
process.exit();
