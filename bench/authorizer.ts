import { fork } from 'node:child_process';
import { Agent, createServer, request } from 'node:https';
import {
  createAccessTable,
  createWebhook,
  initialRules,
  type KeyAndCertificate,
  makeWebhookKey,
} from '#authorizer';

/**
 * Answers of the authorizer webhook beside a bare Node HTTPS server that sends as many bytes, by turns, each in a process of its
 * own; then how long an answer of each takes at rest and under a flood, which comes from a process of its own too: what its
 * sender costs is no part of the answer.
 *
 * usage: node --conditions=source bench/authorizer.ts [requests a turn] [nodes in the table] [turns] [rounds of latencies]
 */
const [requests = 1_500, nodes = 5_000, turns = 24, latencyRounds = 20] = process.argv
  .slice(2, 6)
  .map(Number);
/** Enough that the 99th percentile of a round is that of four answers. */
const asksInRound = 400;
const parts = [0.5, 0.9, 0.99] as const;
const fingerprint = (index: number) => index.toString(16).padStart(64, '0');

interface Start {
  readonly kind: 'webhook' | 'bare' | 'flood';
  readonly server: KeyAndCertificate;
  readonly client: KeyAndCertificate;
}
/** To a flood: the port to ask and how often a second; 0: rest. */
interface Flood {
  readonly port: number;
  readonly perSecond: number;
}

const reviewBody = (index: number) =>
  JSON.stringify({
    kind: 'SubjectAccessReview',
    apiVersion: 'authorization.k8s.io/v1',
    metadata: {},
    spec: {
      resourceAttributes: { verb: 'get', version: 'v1', resource: 'nodes', name: `worker-${index}` },
      user: `system:node:worker-${index}`,
      groups: ['system:nodes', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint(index)}`] },
    },
    status: { allowed: false },
  });

if (process.send) process.once('message', serve);
else await measure();

function serve(start: Start): void {
  // It lives no longer than what measures it.
  process.once('disconnect', () => process.exit());
  if (start.kind === 'flood') {
    flood(start);
    return;
  }
  const { kind, server, client } = start;
  const tls = { ...server, clientCert: client.cert };
  const listener = kind === 'bare' ? bare(tls) : webhook(tls);
  listener.listen(0, '127.0.0.1', () => process.send?.(listener.address()));
  process.on('message', () => process.send?.(process.cpuUsage()));
}

function flood({ server, client }: Start): void {
  const agent = new Agent({ keepAlive: true, maxSockets: 16, ca: server.cert, ...client });
  let stop = new AbortController();
  process.on('message', ({ port, perSecond }: Flood) => {
    stop.abort();
    stop = new AbortController();
    if (perSecond > 0) void floodAt(agent, { port }, perSecond, stop.signal);
  });
  process.send?.({ port: 0 });
}

function bare({ cert, key, clientCert }: KeyAndCertificate & { readonly clientCert: string }) {
  const body = JSON.stringify({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    status: { allowed: false },
  });
  const options = { cert, key, ca: clientCert, requestCert: true, keepAliveTimeout: 0 };
  return createServer(options, (incoming, response) => {
    incoming.resume();
    incoming.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
      response.end(body);
    });
  });
}

function webhook(tls: KeyAndCertificate & { readonly clientCert: string }) {
  const table = createAccessTable();
  table.setRules({ ...initialRules, mode: 'enforce', isSettling: false });
  for (let index = 0; index < nodes; index += 1)
    table.setNode({
      nodeId: `worker-${index}`,
      standing: 'live',
      isContested: false,
      vouches: [{ identity: 'kubelet', fingerprint: fingerprint(index) }],
    });
  return createWebhook({ tls, table, onDenial: () => undefined, onUnreadable: () => undefined });
}

async function measure(): Promise<void> {
  const [server, client] = await Promise.all([makeWebhookKey('server'), makeWebhookKey('client')]);
  const [tested, control, flooding] = await Promise.all([
    launch({ kind: 'webhook', server, client }),
    launch({ kind: 'bare', server, client }),
    launch({ kind: 'flood', server, client }),
  ]);
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 16,
    ca: server.cert,
    cert: client.cert,
    key: client.key,
  });
  await rate(agent, tested, 4_000);
  await rate(agent, control, 4_000);
  const costs = { webhook: [] as number[], bare: [] as number[] };
  for (let turn = 0; turn < turns; turn += 1) {
    costs.webhook.push((await costOf(agent, tested)).cpuUs);
    costs.bare.push((await costOf(agent, control)).cpuUs);
  }
  // On a busy machine the lower half of the turns is what the programs cost, the upper what their neighbours do.
  for (const part of [0.25, 0.5]) {
    const [own, other] = [quantile(costs.webhook, part), quantile(costs.bare, part)];
    console.log(
      `CPU of an answer, quantile ${part}: webhook ${own.toFixed(1)} µs, bare ${other.toFixed(1)} µs; bare : webhook ${(other / own).toFixed(2)} (${nodes} nodes in the table)`,
    );
  }
  await measureLatencies({ tested, control, flooding, server, client });
  for (const { child } of [tested, control, flooding]) child.kill();
  agent.destroy();
}

interface Latencies extends Omit<Start, 'kind'> {
  readonly tested: Target;
  readonly control: Target;
  readonly flooding: Target;
}

/** Of each round one quantile of each part, at rest and under the flood. */
interface Rounds {
  readonly rest: number[][];
  readonly busy: number[][];
}

async function measureLatencies({ tested, control, flooding, server, client }: Latencies): Promise<void> {
  const slow = new Agent({ keepAlive: true, maxSockets: 1, ca: server.cert, ...client });
  const kinds = [
    { name: 'webhook', target: tested, rounds: emptyRounds() },
    { name: 'bare', target: control, rounds: emptyRounds() },
  ];
  // By turns as well: what a neighbour takes falls on all four.
  for (let turn = 0; turn < latencyRounds; turn += 1)
    for (const { target, rounds } of kinds) {
      rounds.rest.push(quantiles(await latencies(slow, target, asksInRound)));
      // 1 000 a second, as an API server under load asks.
      flooding.child.send({ port: target.port, perSecond: 1_000 } satisfies Flood);
      await latencies(slow, target, 100);
      rounds.busy.push(quantiles(await latencies(slow, target, asksInRound)));
      flooding.child.send({ port: target.port, perSecond: 0 } satisfies Flood);
      await latencies(slow, target, 50);
    }
  for (const { name, rounds } of kinds)
    for (const [index, part] of parts.entries()) console.log(`${name}: ${figures(rounds, index, part)}`);
  slow.destroy();
}

function emptyRounds(): Rounds {
  return { rest: [], busy: [] };
}

function quantiles(times: readonly number[]): number[] {
  return parts.map((part) => quantile(times, part));
}

/** The median of the rounds and, in brackets, their quartiles. */
function figures({ rest, busy }: Rounds, index: number, part: number): string {
  const idle = rest.map((round) => round[index] ?? Number.NaN);
  const flooded = busy.map((round) => round[index] ?? Number.NaN);
  const times = flooded.map((value, round) => value / (idle[round] ?? Number.NaN));
  return `p${part * 100} at rest ${spread(idle)} ms, under 1 000 a second ${spread(flooded)} ms, ratio of a round ${spread(times)}; ratio of the medians ${(quantile(flooded, 0.5) / quantile(idle, 0.5)).toFixed(2)} (${rest.length} rounds)`;
}

function spread(values: readonly number[]): string {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(values, part).toFixed(2));
  return `${middle} [${low}, ${high}]`;
}

interface Target {
  readonly port: number;
  readonly child: ReturnType<typeof fork>;
}

async function launch(start: Start): Promise<Target> {
  const child = fork(import.meta.filename, process.argv.slice(2));
  const listening = new Promise<{ port: number }>((resolve) =>
    child.once('message', (message) => resolve(message as { port: number })),
  );
  child.send(start);
  return { port: (await listening).port, child };
}

async function costOf(agent: Agent, target: Target) {
  const before = await cpuUsOf(target);
  await rate(agent, target, requests);
  return { cpuUs: ((await cpuUsOf(target)) - before) / requests };
}

async function cpuUsOf({ child }: Target): Promise<number> {
  const answer = new Promise<NodeJS.CpuUsage>((resolve) =>
    child.once('message', (message) => resolve(message as NodeJS.CpuUsage)),
  );
  child.send('cpu');
  const { user, system } = await answer;
  return user + system;
}

async function rate(agent: Agent, target: Target, count: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (left > 0) {
        left -= 1;
        await ask(agent, target, left % nodes);
      }
    }),
  );
}

async function latencies(agent: Agent, target: Pick<Target, 'port'>, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const beganAtMs = performance.now();
    await ask(agent, target, index % nodes);
    times.push(performance.now() - beganAtMs);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return times;
}

/** Independent arrivals (Poisson), as of many clients: a burst every ten milliseconds would measure its own queue. */
async function floodAt(
  agent: Agent,
  target: Pick<Target, 'port'>,
  perSecond: number,
  signal: AbortSignal,
): Promise<void> {
  const under = new Set<Promise<void>>();
  let nextAtMs = performance.now();
  while (!signal.aborted) {
    const nowMs = performance.now();
    for (; nextAtMs <= nowMs; nextAtMs += (-Math.log(1 - Math.random()) * 1_000) / perSecond) {
      const asked = ask(agent, target, under.size).finally(() => under.delete(asked));
      under.add(asked);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(under);
}

function ask(agent: Agent, { port }: Pick<Target, 'port'>, index: number): Promise<void> {
  const body = reviewBody(index);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const outgoing = request({ agent, host: '127.0.0.1', port, method: 'POST', headers }, (incoming) => {
    incoming.resume();
    incoming.on('end', () => resolve());
  });
  outgoing.once('error', reject);
  outgoing.end(body);
  return promise;
}

function quantile(values: readonly number[], part: number): number {
  return values.toSorted((left, right) => left - right)[Math.floor(part * (values.length - 1))] ?? Number.NaN;
}
