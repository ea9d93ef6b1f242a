import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Artefact, root, sha256, version } from './artefact.ts';
import { bareRoot } from './bare-root.ts';
import { makeChart } from './chart.ts';
import { lintianFindings, makeDebianPackage } from './debian.ts';
import { makeExecutable } from './executable.ts';
import { ARCHITECTURES, type Architecture, debianName } from './node-packages.ts';
import { emulatedTest, type Smoke, smokeTest } from './smoke.ts';
import { makeTarball } from './tarball.ts';

/**
 * `npm run release -- --dry-run`: makes every artefact of a release into `dist-release/`, installs each in a bare Debian root, and
 * prints what it made. Publishes nothing. Without `--dry-run` it does the same, but only from a clean clone at the version's tag.
 *
 *   --only npm,tarball,executable,debian,chart   fewer kinds
 *   --architecture x64                     one architecture
 *   --to DIRECTORY, --dist DIRECTORY       other places of the artefacts and of the build
 */
const KINDS = ['npm', 'tarball', 'executable', 'debian', 'chart'] as const;
type Kind = (typeof KINDS)[number];

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    only: { type: 'string', default: KINDS.join(',') },
    architecture: { type: 'string', default: ARCHITECTURES.join(',') },
    to: { type: 'string', default: join(root, 'dist-release') },
    dist: { type: 'string', default: join(root, 'dist') },
  },
});
const directory = values.to;
const kinds = chosen(values.only, KINDS, '--only');
const architectures = chosen(values.architecture, ARCHITECTURES, '--architecture');
if (!values['dry-run']) expectTagged();

rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
const artefacts: Artefact[] = [];
for (const kind of kinds) artefacts.push(...(await make(kind)));
copyFileSync(join(root, 'deploy', 'install.sh'), join(directory, 'install.sh'));
copyFileSync(join(values.dist, 'sbom.cdx.json'), join(directory, 'sbom.cdx.json'));
const sums = artefacts.map(({ file }) => `${sha256(file)}  ${basename(file)}\n`);
writeFileSync(join(directory, 'SHA256SUMS'), sums.join(''));

const smokes = testAll(artefacts);
print(artefacts, smokes);
process.exitCode = smokes.some(({ result }) => result === 'failed') ? 1 : 0;

function chosen<T extends string>(words: string, known: readonly T[], flag: string): readonly T[] {
  const asked = words.split(',');
  const unknown = asked.find((word) => !known.includes(word as T));
  if (unknown !== undefined) throw new Error(`${flag} ${unknown}: known are ${known.join(', ')}`);
  return known.filter((one) => asked.includes(one));
}

/** What is released has to be found again by its tag. */
function expectTagged(): void {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim();
  if (git('status', '--porcelain') !== '' || git('tag', '--points-at', 'HEAD') !== `v${version}`)
    throw new Error(
      `this is not a clean clone at the tag v${version}: run \`npm version\` first (docs/releasing.md), or pass --dry-run`,
    );
}

async function make(kind: Kind): Promise<readonly Artefact[]> {
  if (kind === 'npm') return npmPackages();
  if (kind === 'chart') return makeChart(directory).map((file) => ({ file }));
  const made: Artefact[] = [];
  for (const architecture of architectures) {
    process.stderr.write(`${kind} for ${architecture} …\n`);
    made.push(await makeOne(kind, architecture));
  }
  return made;
}

async function makeOne(kind: Exclude<Kind, 'npm' | 'chart'>, architecture: Architecture): Promise<Artefact> {
  const options = { dist: values.dist, architecture };
  const isOurs = architecture === process.arch;
  const artefact = (file: string, install: string): Artefact => ({
    file,
    ...(isOurs ? { install } : {}),
  });
  const name = `k3s-daas-linux-${debianName(architecture)}`;
  if (kind === 'tarball')
    return artefact(
      makeTarball(directory, options),
      `INSTALL_K3S_DAAS_ARTIFACT=/mnt/${name}.tar.gz sh /mnt/install.sh --program-only`,
    );
  if (kind === 'executable')
    return artefact(
      await makeExecutable(directory, options),
      `dpkg -i /var/cache/apt/archives/*.deb >&2; install -m 755 /mnt/${name} /usr/local/bin/k3s-daas`,
    );
  const file = makeDebianPackage(directory, options);
  return artefact(file, `dpkg -i /mnt/${basename(file)} >&2`);
}

/** Both npm packages; `dist` is built. npm and a registry are not in a bare root: integration/installed-packages.test.ts installs them. */
function npmPackages(): readonly Artefact[] {
  return [root, join(root, 'devnet')].map((from) => {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
    const reply = JSON.parse(
      execFileSync('npm', args, { cwd: from, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    ) as [{ filename: string }];
    return { file: join(directory, reply[0].filename) };
  });
}

function testAll(made: readonly Artefact[]): readonly Smoke[] {
  const bare = bareRoot();
  return made.map((artefact) => {
    process.stderr.write(`tests ${basename(artefact.file)} …\n`);
    if (artefact.file.endsWith('.deb')) {
      const findings = lintianFindings(artefact.file);
      if (findings !== undefined && findings !== 'lintian is not installed')
        return { result: 'failed', reason: findings };
    }
    if (basename(artefact.file).startsWith('k3s-daas-gateway-'))
      return { result: 'not run', reason: 'npm run test:kube installs it by helm' };
    if (artefact.file.endsWith('.tgz'))
      return { result: 'not run', reason: 'npm test installs it from a registry of its own' };
    if (artefact.install === undefined && artefact.file.endsWith('-arm64')) return emulatedTest(artefact);
    if ('missing' in bare) return { result: 'not run', reason: bare.missing };
    return smokeTest(artefact, bare.directory);
  });
}

function print(made: readonly Artefact[], results: readonly Smoke[]): void {
  const rows = made.map(({ file }, index) => {
    const { result, reason, startSeconds } = results[index] ?? { result: 'not run', reason: '' };
    return [
      basename(file),
      `${(statSync(file).size / 1e6).toFixed(1)} MB`,
      sha256(file),
      startSeconds === undefined ? '–' : `${startSeconds.toFixed(2)} s`,
      reason === '' ? result : `${result}: ${reason}`,
    ];
  });
  const table = [['artefact', 'size', 'sha256', 'start (CPU)', 'smoke test'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  for (const row of table)
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}
