import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Artefact, root, sha256, version } from './artefact.ts';
import { bareRoot } from './bare-root.ts';
import { makeChart } from './chart.ts';
import { MINUTE_MS, outputOf } from './child.ts';
import { LINTIAN_MISSING, lintianFindings, makeDebianPackage } from './debian.ts';
import { makeExecutable } from './executable.ts';
import { krewManifest } from './krew.ts';
import { ARCHITECTURES, type Architecture, debianName } from './node-packages.ts';
import { emulatedTest, type Smoke, smokeTest } from './smoke.ts';
import { makeTarball } from './tarball.ts';
import { problemsOf } from './verdict.ts';

/**
 * `npm run release -- --dry-run`: makes every artefact of a release into `dist-release/`, installs each in a bare Debian root, and
 * prints what it made. Publishes nothing. Without `--dry-run` it does the same, but only from a clean clone at the version's tag, and it
 * fails where something for this architecture cannot be tested.
 *
 *   --only npm,tarball,executable,debian,chart   fewer kinds
 *   --architecture x64                     one architecture
 *   --to DIRECTORY, --dist DIRECTORY       other places of the artefacts and of the build
 *   --releases URL                         where releases can be had, as in install.sh: for krew
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
    releases: { type: 'string', default: 'https://RELEASES' },
  },
});
const directory = values.to;
const kinds = chosen(values.only, KINDS, '--only');
const architectures = chosen(values.architecture, ARCHITECTURES, '--architecture');
if (!values['dry-run']) expectTagged();

rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
const { commit } = JSON.parse(readFileSync(join(values.dist, 'build.json'), 'utf8')) as { commit?: string };
const artefacts: Artefact[] = [];
for (const kind of kinds) artefacts.push(...(await make(kind)));
copyFileSync(join(root, 'deploy', 'install.sh'), join(directory, 'install.sh'));
copyFileSync(join(values.dist, 'sbom.cdx.json'), join(directory, 'sbom.cdx.json'));
const others = ['install.sh', 'sbom.cdx.json', ...writeKrewManifest()];
const files = [...artefacts.map(({ file }) => basename(file)), ...others];
const sums = files.map((file) => `${sha256(join(directory, file))}  ${file}\n`);
writeFileSync(join(directory, 'SHA256SUMS'), sums.join(''));

const smokes = testAll(artefacts);
print(artefacts, smokes);
const problems = problemsOf(artefacts, smokes, { isDryRun: values['dry-run'] });
for (const problem of problems) process.stderr.write(`not fit for a release: ${problem}\n`);
process.exitCode = problems.length > 0 ? 1 : 0;

function chosen<T extends string>(words: string, known: readonly T[], flag: string): readonly T[] {
  const asked = words.split(',');
  const unknown = asked.find((word) => !known.includes(word as T));
  if (unknown !== undefined) throw new Error(`${flag} ${unknown}: known are ${known.join(', ')}`);
  return known.filter((one) => asked.includes(one));
}

/** `daas.yaml`, the name that krew expects; no file without a tarball. */
function writeKrewManifest(): readonly string[] {
  const tarballs = Object.fromEntries(
    architectures
      .map(debianName)
      .map((name) => [name, join(directory, `k3s-daas-linux-${name}.tar.gz`)] as const)
      .filter(([, file]) => existsSync(file)),
  );
  if (Object.keys(tarballs).length === 0) return [];
  const baseUrl = `${values.releases}/v${version}`;
  writeFileSync(join(directory, 'daas.yaml'), krewManifest({ version, baseUrl, tarballs }));
  return ['daas.yaml'];
}

/** What is released has to be found again by its tag. */
function expectTagged(): void {
  if (!values.releases.startsWith('https://') || values.releases === 'https://RELEASES')
    throw new Error('pass --releases https://…: krew fetches the tarballs from there');
  const git = (...args: string[]) => outputOf('git', args, { cwd: root, withinMs: MINUTE_MS }).trim();
  if (git('status', '--porcelain') !== '' || git('tag', '--points-at', 'HEAD') !== `v${version}`)
    throw new Error(
      `this is not a clean clone at the tag v${version}: run \`npm version\` first (docs/releasing.md), or pass --dry-run`,
    );
}

async function make(kind: Kind): Promise<readonly Artefact[]> {
  if (kind === 'npm') return npmPackages();
  if (kind === 'chart') return makeChart(directory).map((file) => ({ file, testedBy: 'npm run test:kube' }));
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
      `apt-get install --yes libatomic1 >&2; install -m 755 /mnt/${name} /usr/local/bin/k3s-daas`,
    );
  const file = makeDebianPackage(directory, options);
  return artefact(file, `dpkg -i /mnt/${basename(file)} >&2`);
}

/** Both npm packages; `dist` is built. npm and a registry are not in a bare root: integration/installed-packages.test.ts installs them. */
function npmPackages(): readonly Artefact[] {
  return [root, join(root, 'devnet')].map((from) => {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
    const written = outputOf('npm', args, { cwd: from, withinMs: 10 * MINUTE_MS });
    const reply = JSON.parse(written) as [{ filename: string }];
    return { file: join(directory, reply[0].filename), testedBy: 'integration/installed-packages.test.ts' };
  });
}

function testAll(made: readonly Artefact[]): readonly Smoke[] {
  const bare = bareRoot();
  return made.map((artefact) => {
    process.stderr.write(`tests ${basename(artefact.file)} …\n`);
    if (artefact.testedBy !== undefined)
      return { result: 'not run', reason: `${artefact.testedBy} installs it` };
    const findings = artefact.file.endsWith('.deb') ? lintianFindings(artefact.file) : undefined;
    if (findings === LINTIAN_MISSING && !values['dry-run']) return { result: 'not run', reason: findings };
    if (findings !== undefined && findings !== LINTIAN_MISSING) return { result: 'failed', reason: findings };
    if (artefact.install === undefined && artefact.file.endsWith('-arm64')) return emulatedTest(artefact);
    if ('missing' in bare) return { result: 'not run', reason: bare.missing };
    return smokeTest(artefact, { root: bare.directory, commit });
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
