import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer as createPlainServer, type RequestListener } from 'node:http';
import { Agent, createServer, get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '#base';
import { createEventStreams } from '../src/gateway/event-streams.ts';
import { portForHaproxy, startHaproxy } from '../src/gateway/haproxy.fixture.ts';
import { takeProxiedConnections } from '../src/gateway/proxied-connections.ts';
import { makeTls } from '../src/gateway/tls.fixture.ts';

/**
 * What a host that listens for changes costs the gateway: resident memory of a server's process for each TLS connection that is
 * idle after a reply, and for each that holds an event stream; the same with a HAProxy (deploy/haproxy.cfg) that ends TLS in
 * front of it, and what that one takes.
 *
 * usage: node --conditions=source --expose-gc bench/streams.ts [connections]
 */
const connections = Number(process.argv[2] ?? 1_000);
/** Handshakes at a time: more of them last longer than a server waits. */
const atOnce = 20;

interface Start {
  readonly kind: 'idle' | 'stream';
  readonly tls: { readonly cert: string; readonly key: string };
  /** Where a proxy connects; left out, the server ends TLS itself. */
  readonly socketPath?: string | undefined;
}

if (process.send) process.once('message', serve);
else await measureAll();

function serve({ kind, tls, socketPath }: Start): void {
  process.once('disconnect', () => process.exit());
  const streams = createEventStreams({ most: 1e6, clock: systemClock });
  const answer: RequestListener = (request, response) => {
    const nodeId = request.url ?? '';
    if (kind === 'stream') streams.open({ nodeId, recordId: nodeId }, response.writeHead(200));
    else response.end('{}');
  };
  process.on('message', () => {
    globalThis.gc?.();
    process.send?.(process.memoryUsage().rss);
  });
  if (socketPath === undefined) {
    const server = createServer({ ...tls, minVersion: 'TLSv1.3', keepAliveTimeout: 600_000 }, answer);
    server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
    return;
  }
  const server = createPlainServer({ keepAliveTimeout: 600_000 }, answer);
  takeProxiedConnections(server, { onRefused: (reason) => console.error(reason) });
  server.listen(socketPath, () => process.send?.({}));
}

async function measureAll(): Promise<void> {
  for (const front of ['none', 'haproxy', 'none', 'haproxy'] as const)
    for (const kind of ['idle', 'stream'] as const) await measure(kind, front);
  process.exit();
}

async function measure(kind: Start['kind'], front: 'none' | 'haproxy'): Promise<void> {
  const tls = await makeTls();
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-bench-'));
  const socketPath = front === 'haproxy' ? join(directory, 'gateway.sock') : undefined;
  const child = fork(new URL(import.meta.url), [], { execArgv: ['--conditions=source', '--expose-gc'] });
  child.send({ kind, tls, socketPath } satisfies Start);
  const [address] = (await once(child, 'message')) as [{ port?: number }];
  const port = address.port ?? (await portForHaproxy());
  const haproxy =
    socketPath === undefined
      ? undefined
      : await startHaproxy({ directory, port, socketPath, certAndKey: tls.cert + tls.key, edit: unlimited });
  const rss = async () => {
    child.send('rss');
    const [ofServer] = (await once(child, 'message')) as [number];
    return { ofServer, ofProxy: haproxy ? await residentBytes(haproxy.pid) : 0 };
  };
  const agents: Agent[] = [];
  agents.push(...(await open(port, 0, 100)));
  const before = await rss();
  agents.push(...(await open(port, 100, connections)));
  await sleep(1_000);
  const after = await rss();
  const kibEach = (bytes: number) => Math.round(bytes / connections / 102.4) / 10;
  console.log(
    JSON.stringify({
      front,
      kind,
      connections,
      serverKibEach: kibEach(after.ofServer - before.ofServer),
      proxyKibEach: kibEach(after.ofProxy - before.ofProxy),
    }),
  );
  child.kill();
  for (const agent of agents) agent.destroy();
  await haproxy?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
}

/** All come from one address at once. */
function unlimited(text: string): string {
  return text.replace(/^ *tcp-request connection reject.*\n/m, '');
}

async function residentBytes(pid: number): Promise<number> {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

/** So many connections, each of an agent of its own, so that none is used twice. */
async function open(port: number, from: number, count: number): Promise<Agent[]> {
  const agents: Agent[] = [];
  while (agents.length < count) {
    const some = Array.from({ length: Math.min(atOnce, count - agents.length) }, () => {
      return new Agent({ keepAlive: true, rejectUnauthorized: false });
    });
    await Promise.all(some.map((agent, index) => ask(port, agent, from + agents.length + index)));
    agents.push(...some);
  }
  return agents;
}

function ask(port: number, agent: Agent, name: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  get({ host: '127.0.0.1', port, path: `/${name}`, agent }, (reply) => {
    reply.on('error', () => undefined).resume();
    resolve();
  }).once('error', reject);
  return promise;
}
