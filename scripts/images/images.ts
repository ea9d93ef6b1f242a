import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../release/artefact.ts';
import { bareRoot } from '../release/bare-root.ts';
import { MINUTE_MS, outputOf } from '../release/child.ts';
import { type Architecture, node24 } from '../release/node-packages.ts';
import { stageProgram } from '../release/tarball.ts';

/** A Docker engine, by its command. */
export interface Docker {
  /** Runs the command, for twenty minutes at most; what it wrote to standard output. */
  readonly run: (...args: readonly string[]) => string;
  /** The command as a shell has it. */
  readonly command: readonly [string, ...string[]];
}

/** `DOCKER_HOST` of the environment, or Docker's own default. Debian's command fits the engine that comes with it. */
export function docker(host = process.env.DOCKER_HOST): Docker {
  const command = ['/usr/bin/docker', ...(host ? ['--host', host] : [])] as [string, ...string[]];
  const [program, ...first] = command;
  return {
    command,
    run: (...args) => outputOf(program, [...first, ...args], { withinMs: 20 * MINUTE_MS }),
  };
}

export interface ImageNames {
  readonly gateway: string;
  readonly devnet: string;
  readonly worker: string;
}

export interface ImageOptions {
  readonly engine: Docker;
  /** Builds of the program and of the dev chain (scripts/bundle.ts). */
  readonly dist: string;
  readonly devnetDist: string;
  /** What comes after the colon. */
  readonly tag: string;
  /** Another base than the bare Debian root of this machine, by digest. */
  readonly base?: string | undefined;
}

/** Builds the gateway's image, that of the dev chain, and that of a test's worker. */
export function buildImages(options: ImageOptions): ImageNames {
  const base = options.base ?? importBase(options.engine);
  const [architecture, stage] = [
    process.arch as Architecture,
    mkdtempSync(join(tmpdir(), 'k3s-daas-images-')),
  ];
  try {
    const node = join(node24(architecture), 'bin', 'node');
    const program = join(stage, 'program');
    stageProgram(program, { dist: options.dist, architecture });
    // The gateway's image has no shell, so no launcher: it runs Node itself, under one path for every architecture.
    const gateway = join(stage, 'gateway');
    for (const part of ['dist', 'contracts', 'package.json', 'LICENSE', join('node_modules', '@mysten')])
      cpSync(join(program, part), join(gateway, part), { recursive: true });
    cpSync(node, join(gateway, 'node'));
    const devnet = join(stage, 'devnet');
    mkdirSync(devnet);
    cpSync(options.devnetDist, join(devnet, 'dist'), { recursive: true });
    for (const part of ['package.json', 'LICENSE']) cpSync(join(root, 'devnet', part), join(devnet, part));
    cpSync(join(program, 'node_modules', '@mysten'), join(devnet, 'node_modules', '@mysten'), {
      recursive: true,
    });
    cpSync(node, join(devnet, 'node'));
    const build = (name: string, file: string, context: string) => {
      const image = `${name}:${options.tag}`;
      const args = [
        'build',
        '--quiet',
        '--file',
        join(root, file),
        '--build-arg',
        `BASE=${base}`,
        '--tag',
        image,
      ];
      options.engine.run(...args, context);
      return image;
    };
    return {
      gateway: build('k3s-daas-gateway', 'deploy/images/gateway.Containerfile', gateway),
      devnet: build('k3s-daas-devnet', 'deploy/images/devnet.Containerfile', devnet),
      worker: build('k3s-daas-worker', 'integration/containers/worker.Containerfile', program),
    };
  } finally {
    rmSync(stage, { recursive: true });
  }
}

const BASE = 'k3s-daas-base:bookworm';

/** The bare Debian root of this machine as an image: no registry is needed. Made once for an engine. */
export function importBase({ run, command }: Docker): string {
  if (run('images', '--quiet', BASE).trim() !== '') return BASE;
  const bare = bareRoot();
  if ('missing' in bare) throw new Error(`there is no base for images: ${bare.missing}`);
  // The archives are for pages that a test follows without a network.
  const line = `tar -C "$1" --exclude=./var/cache/apt/archives --exclude=./var/lib/apt/lists -c . | "\${@:2}" import - ${BASE}`;
  const args = ['-o', 'pipefail', '-c', line, 'bash', bare.directory, ...command];
  outputOf('bash', args, { withinMs: 10 * MINUTE_MS });
  return BASE;
}
