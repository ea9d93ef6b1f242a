import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildImages, docker, type ImageNames, importBase } from '../../scripts/images/images.ts';
import { MINUTE_MS, outputOf } from '../../scripts/release/child.ts';
import { findBinaries } from '../kube/binaries.ts';
import { until } from '../world/kubernetes.ts';
import { projectRoot } from '../world/program.ts';
import type { ApiBehindStandin } from './container-server.ts';

export type FoundEngine =
  | {
      readonly kind: 'found';
      readonly host: string;
      readonly images: ImageNames;
      readonly api: ApiBehindStandin;
    }
  | { readonly kind: 'missing'; readonly reason: string };

declare module 'vitest' {
  interface ProvidedContext {
    engine: FoundEngine;
  }
}

/**
 * vitest's global setup of the project `containers`: finds a Docker engine or starts one of its own, and builds the images. Where no
 * engine can run, the tests are skipped and their name says why.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const engine = await findEngine();
  const problem = 'missing' in engine ? engine.missing : await problemOf(engine.host);
  if ('missing' in engine || problem !== undefined) {
    process.stderr.write(`the tests in containers cannot run: ${problem}\n`);
    project.provide('engine', { kind: 'missing', reason: problem ?? '' });
    return 'missing' in engine ? async () => undefined : engine.stop;
  }
  try {
    const startedAt = performance.now();
    const images = await build(engine.host);
    process.stderr.write(
      `images built in ${Math.round((performance.now() - startedAt) / 1000)} s: ${listed(engine.host, images)}\n`,
    );
    project.provide('engine', { kind: 'found', host: engine.host, images, api: await findApiServer() });
  } catch (error) {
    await engine.stop();
    throw error;
  }
  return engine.stop;
}

/** A real kube-apiserver (docs/testing.md), or else the stand-in. */
async function findApiServer(): Promise<ApiBehindStandin> {
  const found = await findBinaries((line) => process.stderr.write(`${line}\n`));
  return found.kind === 'found' ? { kind: 'kube', binaries: found.binaries } : { kind: 'standin' };
}

interface Engine {
  readonly host: string;
  readonly stop: () => Promise<void>;
}

/** `DOCKER_HOST`, the machine's own engine, or one that this starts. */
async function findEngine(): Promise<Engine | { readonly missing: string }> {
  if (!existsSync('/usr/bin/docker')) return { missing: '/usr/bin/docker is not there (Debian: docker.io)' };
  const answers = (host: string) =>
    spawnSync('/usr/bin/docker', ['--host', host, 'version'], { timeout: 10_000 }).status === 0;
  for (const host of [process.env.DOCKER_HOST, 'unix:///var/run/docker.sock'])
    if (host !== undefined && answers(host)) return { host, stop: async () => undefined };
  if (process.getuid?.() !== 0) return { missing: 'no Docker engine answers, and only root can start one' };
  return startEngine(answers);
}

/** Its images stay in `.cache`: the base is imported once. */
async function startEngine(
  answers: (host: string) => boolean,
): Promise<Engine | { readonly missing: string }> {
  const data = join(projectRoot, '.cache', 'docker');
  await mkdir(data, { recursive: true });
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-docker-'));
  const host = `unix://${join(directory, 'docker.sock')}`;
  const places = [
    '--data-root',
    data,
    '--exec-root',
    join(directory, 'exec'),
    '--pidfile',
    join(directory, 'pid'),
  ];
  const args = ['--host', host, ...places];
  const child = spawn('dockerd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let written = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written = (written + text).slice(-2_000);
  });
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('exit', () => resolve(written.trim().split('\n').at(-1) ?? 'it ended'));
  });
  const ready = until('the Docker engine', async () => (answers(host) ? true : undefined), {
    withinMs: 30_000,
  });
  const failure = await Promise.race([
    ended,
    ready.then(
      () => undefined,
      (error: Error) => error.message,
    ),
  ]);
  const stop = async () => {
    child.kill('SIGTERM');
    const hurry = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(hurry);
    await rm(directory, { recursive: true, force: true });
  };
  if (failure === undefined) return { host, stop };
  await stop();
  return { missing: `dockerd does not run here: ${failure}` };
}

/** Why an engine that answers cannot run a container of the base; `undefined`: it can. */
async function problemOf(host: string): Promise<string | undefined> {
  const engine = docker(host);
  try {
    engine.run('run', '--rm', importBase(engine), 'true');
    return undefined;
  } catch (error) {
    return `no container runs here: ${String(error).slice(0, 300)}`;
  }
}

async function build(host: string): Promise<ImageNames> {
  const builds = await mkdtemp(join(tmpdir(), 'k3s-daas-builds-'));
  try {
    const [dist, devnetDist] = [join(builds, 'dist'), join(builds, 'devnet')];
    const bundle = join(projectRoot, 'scripts', 'bundle.ts');
    outputOf(process.execPath, [bundle, dist, devnetDist], { withinMs: 10 * MINUTE_MS });
    return buildImages({ engine: docker(host), dist, devnetDist, tag: 'test' });
  } finally {
    await rm(builds, { recursive: true });
  }
}

function listed(host: string, images: ImageNames): string {
  const { run } = docker(host);
  return Object.values(images)
    .map(
      (image) =>
        `${image} ${Math.round(Number(run('image', 'inspect', '--format', '{{.Size}}', image)) / 1e6)} MB`,
    )
    .join(', ');
}
