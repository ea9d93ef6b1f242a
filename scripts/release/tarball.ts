import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { root, sha256 } from './artefact.ts';
import { type Architecture, debianName, node24 } from './node-packages.ts';
import { packSameTar } from './same-tar.ts';

const parts = ['bin', 'package.json', 'config.example.json', 'CHANGELOG.md', 'LICENSE', 'deploy'];
const contracts = ['sources', 'build', 'Move.toml'].map((name) => join('contracts', name));
/** What is not in the bundle: see `external` in scripts/bundle.ts. */
const templates = join('node_modules', '@mysten', 'move-bytecode-template');

/**
 * Lays the program out in a directory: everything that a worker or gateway needs but k3s, its Node included, nothing that npm would
 * have to fetch. `dist` is a build.
 */
export function stageProgram(to: string, { dist, architecture }: ProgramOptions): void {
  for (const part of [...parts, ...contracts, templates])
    cpSync(join(root, part), join(to, part), { recursive: true, dereference: true });
  cpSync(dist, join(to, 'dist'), {
    recursive: true,
    filter: (path) => !['release', 'types', 'compile-cache'].includes(basename(path)),
  });
  const node = node24(architecture);
  // Node's own documents and headers are none of a worker's.
  for (const part of ['bin', 'LICENSE', 'package.json'])
    cpSync(join(node, part), join(to, 'node_modules', `node-linux-${architecture}`, part), {
      recursive: true,
      dereference: true,
    });
}

export interface ProgramOptions {
  readonly dist: string;
  readonly architecture: Architecture;
}

/** Writes `k3s-daas-linux-<arch>.tar.gz` and its `.sha256` into a directory. The same sources give the same bytes. */
export function makeTarball(directory: string, options: ProgramOptions): string {
  const stage = mkdtempSync(join(tmpdir(), 'k3s-daas-release-'));
  try {
    stageProgram(join(stage, 'k3s-daas'), options);
    const file = join(directory, `k3s-daas-linux-${debianName(options.architecture)}.tar.gz`);
    mkdirSync(directory, { recursive: true });
    packSameTar(file, { from: stage, name: 'k3s-daas', level: 6 });
    writeFileSync(`${file}.sha256`, `${sha256(file)}  ${basename(file)}\n`);
    return file;
  } finally {
    rmSync(stage, { recursive: true });
  }
}
