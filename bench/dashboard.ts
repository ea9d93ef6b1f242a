import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '#base';
import { nodeKeyFromSeed } from '#seal';
import type { FakeWorker } from '../src/gateway/fake-worker.fixture.ts';
import { OPERATOR_PATHS } from '../src/gateway/operator-wire.ts';
import { raw } from '../src/gateway/raw-request.fixture.ts';
import { World } from '../src/gateway/world.fixture.ts';
import { type DrawnPanel, drawDashboard, type Happening } from './dashboard-svg.ts';

/**
 * Lets a whole gateway live through twenty minutes of trouble on a clock that is turned, takes its metrics every 15 s, gives
 * them to a real Prometheus (Debian's `prometheus`), asks every query of the Grafana dashboard, and draws the panels into
 * docs/dashboard.svg. Ends with 1 when a panel has no answer. The full nodes are invented: they answer as the story has it.
 *
 * usage: node --conditions=source bench/dashboard.ts
 */
const minutes = 20;
const scrapeMs = 15_000;
const root = join(import.meta.dirname, '..');

/** What happens, by the minute. */
const story: ReadonlyArray<Happening & { readonly act: (scene: Scene) => Promise<unknown> }> = [
  { minute: 1, what: 'five join', act: (scene) => join5(scene, 1) },
  { minute: 2, what: 'five more', act: (scene) => join5(scene, 6) },
  { minute: 4, what: 'a flood of strangers', act: async () => undefined },
  { minute: 6, what: 'full nodes away', act: async ({ world }) => setChain(world, true) },
  { minute: 8, what: 'and back', act: async ({ world }) => setChain(world, false) },
  {
    minute: 10,
    what: 'a slash',
    act: async ({ world, workers }) => world.chain.slash(workers.get('worker-1')?.recordId ?? ''),
  },
  { minute: 12, what: 'kill -9', act: async ({ world }) => world.kill() },
  { minute: 13, what: 'restart', act: ({ world }) => world.startGateway() },
  { minute: 15, what: 'five unstake', act: unstake5 },
  {
    minute: 18,
    what: 'breaker reset',
    act: ({ world }) => world.operator(OPERATOR_PATHS.breaker, { reset: true }),
  },
];

interface Scene {
  readonly world: World;
  readonly workers: Map<string, FakeWorker>;
}

/** One line of the text format. */
interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: string;
  readonly atMs: number;
}

let calls = 0;
const directory = await mkdtemp(join(tmpdir(), 'dashboard-'));
try {
  const { samples, fromMs, toMs } = await live();
  const panels = await ask(await blocksOf(samples), { fromMs, toMs });
  writeFileSync(join(root, 'docs/dashboard.svg'), drawDashboard(panels, { fromMs, toMs, happenings: story }));
  const silent = panels.filter(({ series }) => series.length === 0).map(({ title }) => title);
  console.log(JSON.stringify({ samples: samples.length, panels: panels.length, silent }));
  process.exitCode = silent.length === 0 ? 0 : 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function live(): Promise<{ samples: Sample[]; fromMs: number; toMs: number }> {
  await using world = await World.create();
  world.options = { version: 'bench', figures: () => figuresOf(world) };
  await world.startGateway();
  const scene: Scene = { world, workers: new Map() };
  const samples: Sample[] = [];
  const fromMs = world.clock.nowMs();
  for (let atMs = 0; atMs < minutes * 60_000; atMs += scrapeMs) {
    for (const { minute, act } of story) if (minute * 60_000 === atMs) await act(scene);
    if (world.gateway) {
      await Promise.all(scene.workers.values().map((worker) => worker.heartbeat().catch(() => undefined)));
      if (atMs >= 4 * 60_000 && atMs < 6 * 60_000) await flood(scene);
      samples.push(...(await scrape(world)));
    }
    await pass(world);
    if (atMs % 60_000 === 0) console.error(`minute ${atMs / 60_000} of ${minutes}`);
  }
  return { samples, fromMs, toMs: world.clock.nowMs() };
}

async function pass(world: World): Promise<void> {
  if (!world.chain.isDown) return world.pass(scrapeMs);
  // Nothing is heard.
  for (let left = scrapeMs; left > 0; left -= 1_000) await world.clock.advance(1_000);
}

async function join5({ world, workers }: Scene, first: number): Promise<void> {
  for (let index = first; index < first + 5; index += 1) {
    const nodeId = `worker-${index}`;
    const staker = `0x${index.toString(16).padStart(64, '0')}`;
    workers.set(nodeId, await world.member(nodeId, { staker }));
  }
}

async function unstake5({ world, workers }: Scene): Promise<void> {
  for (let index = 2; index < 7; index += 1)
    world.chain.change(workers.get(`worker-${index}`)?.recordId ?? '', { status: 'unbonding' });
}

async function flood({ world }: Scene): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const stranger = world.worker('stranger', { key: nodeKeyFromSeed(new Secret('7'.repeat(64))) });
  stranger.tokenId = `0x${'7'.repeat(64)}`;
  for (let count = 0; count < 5; count += 1) {
    const url = `${world.gateway?.publicUrl}/api/v1/register-worker`;
    const odd = { method: 'POST', headers: { ...headers, 'x-seal-token': 'seal_x' }, body: '{}' };
    // A gateway that protects itself may cut it off.
    await raw(url, odd).catch(() => undefined);
    await stranger.register().catch(() => undefined);
  }
}

function setChain(world: World, isDown: boolean): void {
  world.chain.isDown = isDown;
}

function figuresOf({ chain, clock }: World): Record<string, unknown> {
  calls += 1;
  const { isDown } = chain;
  const endpoint = (host: string, latency: number) => ({
    url: `https://${host}`,
    state: isDown ? 'demoted' : 'good',
    lag_ms: isDown ? 90_000 : latency,
    latency_p95_ms: isDown ? 9_000 : latency,
    calls,
    failures: 0,
    contradiction: null,
  });
  const proof = {
    cluster_version: '1',
    proven_at: clock.nowMs(),
    age_ms: isDown ? 60_000 : 2_000,
    endpoints_agreed: 2,
  };
  return { chain_endpoints: [endpoint('a.example', 120), endpoint('b.example', 210)], chain_proof: proof };
}

async function scrape({ gateway, clock }: World): Promise<Sample[]> {
  const reply = await fetch(`${gateway?.healthUrl}/metrics`);
  if (!reply.ok) throw new Error(`the metrics were answered with ${reply.status}`);
  const text = await reply.text();
  const atMs = clock.nowMs();
  return text
    .split('\n')
    .map((line) => /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name = '', labels = '', value = '']) => ({ name, labels, value, atMs }));
}

/** @returns the directory with the blocks. */
async function blocksOf(samples: readonly Sample[]): Promise<string> {
  const byName = Map.groupBy(samples, ({ name }) => name);
  const lines = [...byName].flatMap(([name, ones]) => [
    `# TYPE ${name} unknown`,
    // The samples of a series have to stand together.
    ...ones
      .toSorted((one, other) =>
        one.labels < other.labels ? -1 : one.labels > other.labels ? 1 : one.atMs - other.atMs,
      )
      .map(
        ({ labels, value, atMs }) =>
          `${name}{${labels ? `${labels},` : ''}job="k3s-daas",instance="gateway-1"} ${value} ${atMs / 1_000}`,
      ),
  ]);
  const file = join(directory, 'metrics.txt');
  const blocks = join(directory, 'blocks');
  await writeFile(file, `${lines.join('\n')}\n# EOF\n`);
  await ran('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', file, blocks]);
  return blocks;
}

async function ran(program: string, words: readonly string[]): Promise<void> {
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}

interface Board {
  readonly panels: ReadonlyArray<{
    readonly title: string;
    readonly fieldConfig: { readonly defaults: { readonly unit: string } };
    readonly targets: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>;
  }>;
}

async function ask(
  blocks: string,
  { fromMs, toMs }: { fromMs: number; toMs: number },
): Promise<DrawnPanel[]> {
  const config = join(directory, 'prometheus.yml');
  await writeFile(config, 'scrape_configs: []\n');
  const port = await freePort();
  const words = [
    '--storage.tsdb.path',
    blocks,
    '--storage.tsdb.retention.time',
    '100y',
    '--log.level',
    'error',
  ];
  const listen = [`--config.file=${config}`, `--web.listen-address=127.0.0.1:${port}`];
  const prometheus = spawn('prometheus', [...words, ...listen], { stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    const url = `http://127.0.0.1:${port}`;
    while (
      !(await fetch(`${url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      ))
    )
      await new Promise((resolve) => setTimeout(resolve, 100));
    const board = JSON.parse(readFileSync(join(root, 'deploy/grafana/k3s-daas.json'), 'utf8')) as Board;
    const panels: DrawnPanel[] = [];
    for (const { title, fieldConfig, targets } of board.panels) {
      const series = [];
      for (const { expr, legendFormat } of targets) {
        const query = new URLSearchParams({
          query: expr,
          start: String(fromMs / 1_000),
          end: String(toMs / 1_000),
          step: '15',
        });
        const reply = (await (await fetch(`${url}/api/v1/query_range?${query}`)).json()) as QueryReply;
        if (reply.status !== 'success') throw new Error(`${title}: ${expr}: ${reply.error}`);
        series.push(
          ...(reply.data?.result ?? []).map(({ metric, values }) => ({
            name: legendFormat.replace(/\{\{(\w+)\}\}/g, (_all, label: string) => metric[label] ?? ''),
            points: values.map(([at, value]) => [at * 1_000, Number(value)] as const),
          })),
        );
      }
      panels.push({ title, unit: fieldConfig.defaults.unit, series });
    }
    return panels;
  } finally {
    prometheus.kill();
    await once(prometheus, 'exit');
  }
}

interface QueryReply {
  readonly status: string;
  readonly error?: string;
  readonly data?: {
    readonly result: ReadonlyArray<{
      readonly metric: Readonly<Record<string, string>>;
      readonly values: ReadonlyArray<readonly [seconds: number, value: string]>;
    }>;
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
