import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '#base';
import { createEventStreams } from '../src/gateway/event-streams.ts';
import { makeTls } from '../src/gateway/tls.fixture.ts';

/**
 * What a host that listens for changes costs the gateway: resident memory of a server's process for each TLS connection that is
 * idle after a reply, and for each that holds an event stream.
 *
 * usage: node --conditions=source --expose-gc bench/streams.ts [connections]
 */
const connections = Number(process.argv[2] ?? 1_000);

interface Start {
  readonly kind: 'idle' | 'stream';
  readonly tls: { readonly cert: string; readonly key: string };
}

if (process.send) process.once('message', serve);
else await measure();

function serve({ kind, tls }: Start): void {
  process.once('disconnect', () => process.exit());
  const streams = createEventStreams({ most: 1e6, clock: systemClock });
  const server = createServer(
    { ...tls, minVersion: 'TLSv1.3', keepAliveTimeout: 600_000 },
    (request, response) => {
      const nodeId = request.url ?? '';
      if (kind === 'stream') streams.open({ nodeId, recordId: nodeId }, response.writeHead(200));
      else response.end('{}');
    },
  );
  process.on('message', () => {
    globalThis.gc?.();
    process.send?.(process.memoryUsage().rss);
  });
  server.listen(0, '127.0.0.1', () => process.send?.(server.address()));
}

async function measure(): Promise<void> {
  const tls = await makeTls();
  for (const kind of ['idle', 'stream', 'idle', 'stream'] as const) {
    const child = fork(new URL(import.meta.url), [], { execArgv: ['--conditions=source', '--expose-gc'] });
    child.send({ kind, tls } satisfies Start);
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    const rss = async () => {
      child.send('rss');
      return Number((await once(child, 'message'))[0]);
    };
    const agent = new Agent({
      keepAlive: true,
      rejectUnauthorized: false,
      maxSockets: Number.POSITIVE_INFINITY,
    });
    await open(port, agent, 0, 100);
    const before = await rss();
    await open(port, agent, 100, connections);
    await sleep(1_000);
    const bytes = Math.round(((await rss()) - before) / connections);
    console.log(JSON.stringify({ kind, connections, kibEach: Math.round(bytes / 102.4) / 10 }));
    child.kill();
    agent.destroy();
  }
  process.exit();
}

async function open(port: number, agent: Agent, from: number, count: number): Promise<void> {
  // As many at once as there are, so that none is used twice.
  await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      get({ host: '127.0.0.1', port, path: `/${from + index}`, agent }, (reply) => {
        reply.on('error', () => undefined).resume();
        resolve();
      }).once('error', reject);
      return promise;
    }),
  );
}
