import { fork } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { post, reviewOf } from '../src/gateway/fake-person.fixture.ts';
import { newKey } from '../src/gateway/fake-worker.fixture.ts';
import { CLUSTER_ID } from '../src/gateway/ids.fixture.ts';
import { testTls } from '../src/gateway/tls.fixture.ts';
import { signLogin } from '../src/login/sign-login.ts';
import { benchGateway } from './bench-gateway.ts';

/**
 * Logins of so many people a second, each with a proof that the gateway has not seen, by its webhook of TokenReviews, in a gateway with
 * its audit file; the API server is a process of its own. The facts of all are known, as after everybody's first login.
 *
 * usage: node --conditions=source bench/logins.ts [logins a second] [seconds]
 */
const [perSecond = 1_000, seconds = 10] = process.argv.slice(2, 4).map(Number);

interface Order {
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly tokens: readonly string[];
  readonly perSecond: number;
}
interface Report {
  readonly latenciesMs: readonly number[];
  readonly accepted: number;
  readonly tookMs: number;
}

if (process.send) process.once('message', (order: Order) => void askAll(order));
else await measure();

/** The API server: it asks at even distances, whether or not answers have come. */
async function askAll({ port, cert, key, tokens, perSecond: rate }: Order): Promise<void> {
  const agent = new Agent({ cert, key, keepAlive: true, maxSockets: 16 });
  const latenciesMs: number[] = [];
  let accepted = 0;
  const ask = async (token: string) => {
    const askedAt = performance.now();
    // A handshake that takes too long is cut: it counts as refused.
    const reply = await post(port, reviewOf(token), { agent }).catch(() => undefined);
    latenciesMs.push(performance.now() - askedAt);
    if (reply?.authenticated) accepted += 1;
  };
  const startedAt = performance.now();
  const asked: Array<Promise<void>> = [];
  while (asked.length < tokens.length) {
    const due = Math.min(tokens.length, Math.ceil(((performance.now() - startedAt) * rate) / 1_000));
    for (const token of tokens.slice(asked.length, due)) asked.push(ask(token));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(asked);
  agent.destroy();
  process.send?.({ latenciesMs, accepted, tookMs: performance.now() - startedAt } satisfies Report);
  process.disconnect?.();
}

async function measure(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-logins-'));
  const { config, chain, start } = await benchGateway(directory, await testTls(), {
    tokenReview: { enabled: true, port: 0 },
    // Everybody is a stranger once.
    limits: { lookupRate: 100_000, lookupBurst: 100_000 },
  });
  const people = Array.from({ length: perSecond }, (_, index) => {
    const [key, wallet] = [newKey(), `0x${(index + 1).toString(16).padStart(64, '0')}`];
    const recordId = chain.addRecord({ nodeId: '', stakeType: 'user', stakeMist: 100n, staker: wallet });
    const sealTokenId = chain.addToken(recordId, key.publicKey, { permissions: ['pods:read'] });
    return { key, subject: { wallet, clusterId: CLUSTER_ID, sealTokenId } };
  });
  const gateway = await start();
  const heard = setInterval(() => chain.report(), 1_000);
  const port = gateway.tokenReviewPort() ?? 0;
  const [cert, key] = await Promise.all(
    ['api-server.crt', 'api-server.key'].map((name) =>
      readFile(join(config.stateDir, 'authorizer', name), 'utf8'),
    ),
  );
  // Of another moment each: no two proofs are the same.
  const round = (shift: number) =>
    people.map(({ subject, key: own }) => signLogin(subject, own.privateKey, Date.now() - shift).proof);
  const run = (tokens: readonly string[], rate: number): Promise<Report> => {
    const child = fork(import.meta.filename, { execArgv: process.execArgv });
    child.send({ port, cert: cert ?? '', key: key ?? '', tokens, perSecond: rate } satisfies Order);
    return new Promise((resolve) => child.once('message', (report: Report) => resolve(report)));
  };
  const show = (what: string, { latenciesMs, accepted, tookMs }: Report, cpu: NodeJS.CpuUsage) => {
    const sorted = latenciesMs.toSorted((one, other) => one - other);
    const at = (part: number) => Number((sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(2));
    const cpuUs = Math.round((cpu.user + cpu.system) / latenciesMs.length);
    const perS = Math.round((1_000 * latenciesMs.length) / tookMs);
    const facts = { logins: latenciesMs.length, accepted, perSecond: perS, cpuUsEach: cpuUs };
    console.log(JSON.stringify({ what, ...facts, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99) }));
  };
  for (const [what, tokens] of [
    ['first logins, facts read from the chain', round(0)],
    [
      `logins of people it knows, ${seconds} s`,
      Array.from({ length: seconds }, (_, index) => round(index + 1)).flat(),
    ],
  ] as const) {
    const before = process.cpuUsage();
    show(what, await run(tokens, perSecond), process.cpuUsage(before));
  }
  clearInterval(heard);
  await gateway[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
}
