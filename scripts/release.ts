import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

/**
 * `node scripts/release.ts DIRECTORY`: makes `k3s-daas-linux-<arch>.tar.gz` and its `.sha256` there, from a built dist/. It has
 * everything that a worker needs but k3s: the program, its own Node, nothing that npm would have to fetch. The same sources give
 * the same bytes.
 */
const root = join(import.meta.dirname, '..');
const [to = join(root, 'dist', 'release'), from = join(root, 'dist')] = process.argv.slice(2);

const parts = ['bin', 'package.json', 'config.example.json', 'CHANGELOG.md', 'LICENSE', 'deploy'];
const contracts = ['sources', 'build', 'Move.toml'].map((name) => join('contracts', name));
/** What is not in the bundle: see `external` in scripts/bundle.ts. */
const packages = ['@mysten/move-bytecode-template', `node-linux-${process.arch}`];

const stage = mkdtempSync(join(tmpdir(), 'k3s-daas-release-'));
const program = join(stage, 'k3s-daas');
for (const part of [...parts, ...contracts, ...packages.map((name) => join('node_modules', name))])
  cpSync(join(root, part), join(program, part), { recursive: true, dereference: true });
cpSync(from, join(program, 'dist'), {
  recursive: true,
  filter: (path) => !['release', 'types', 'compile-cache'].includes(basename(path)),
});
// Node's own documents and headers are none of a worker's.
for (const extra of ['include', 'share', 'lib'])
  rmSync(join(program, 'node_modules', `node-linux-${process.arch}`, extra), {
    recursive: true,
    force: true,
  });

const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
const file = join(to, `k3s-daas-linux-${architecture}.tar.gz`);
mkdirSync(to, { recursive: true });
const same = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '--mode=u=rwX,go=rX'];
execFileSync('tar', ['-C', stage, ...same, '--use-compress-program=gzip -n -6', '-cf', file, 'k3s-daas']);
rmSync(stage, { recursive: true });
const sum = createHash('sha256').update(readFileSync(file)).digest('hex');
writeFileSync(`${file}.sha256`, `${sum}  ${basename(file)}\n`);
process.stdout.write(`${file}\n${sum}\n`);
