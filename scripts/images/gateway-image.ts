import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, sha256, version } from '../release/artefact.ts';
import { MINUTE_MS, outcomeOfChild, outputOf } from '../release/child.ts';
import { type Architecture, debianName, node24 } from '../release/node-packages.ts';
import { stageProgram } from '../release/tarball.ts';
import { writeOciImage } from './oci.ts';

const STATE = 'var/lib/k3s-daas-gateway';
const PROGRAM = 'usr/lib/k3s-daas';
const NONROOT = 65_532;

interface Pinned {
  readonly suite: string;
  readonly packages: ReadonlyArray<{
    readonly name: string;
    readonly version: string;
    readonly sha256: Readonly<Record<Architecture, string>>;
  }>;
}

export interface GatewayImage {
  readonly file: string;
  /** `sha256:…` of the manifest. */
  readonly digest: string;
}

/**
 * Writes `k3s-daas-gateway-<arch>.oci.tar`: the image of deploy/images/gateway.Containerfile without an engine, so that the same sources
 * give the same bytes. Its Debian packages are those of deploy/images/gateway-packages.json, each known by its hash.
 */
export function makeGatewayImage(
  directory: string,
  { dist, architecture }: { readonly dist: string; readonly architecture: Architecture },
): GatewayImage {
  const stage = mkdtempSync(join(tmpdir(), 'k3s-daas-gateway-image-'));
  try {
    const [base, program] = [join(stage, 'base'), join(stage, 'program')];
    stageBase(base, architecture);
    stageGateway(program, join(stage, 'whole'), { dist, architecture });
    const file = join(directory, `k3s-daas-gateway-${debianName(architecture)}.oci.tar`);
    mkdirSync(directory, { recursive: true });
    const digest = writeOciImage(file, {
      name: `k3s-daas-gateway:${version}`,
      architecture,
      layers: [
        {
          directory: base,
          comment: 'the Debian packages that Node needs',
          owned: [
            { path: 'tmp', owner: 0, mode: '1777' },
            { path: STATE, owner: NONROOT, mode: '0700' },
          ],
        },
        { directory: program, comment: `k3s-daas ${version} with its Node` },
      ],
      config: {
        User: `${NONROOT}:${NONROOT}`,
        WorkingDir: `/${STATE}`,
        Env: ['NODE_ENV=production'],
        Entrypoint: [`/${PROGRAM}/node`, `/${PROGRAM}/dist/k3s-daas.js`, 'gateway'],
        Cmd: ['run'],
      },
    });
    return { file, digest };
  } finally {
    rmSync(stage, { recursive: true });
  }
}

function stageBase(base: string, architecture: Architecture): void {
  mkdirSync(base, { recursive: true });
  for (const deb of packagesOf(architecture))
    outputOf('dpkg-deb', ['--extract', deb, base], { withinMs: MINUTE_MS });
  for (const part of ['doc', 'man', 'locale', 'lintian'])
    rmSync(join(base, 'usr', 'share', part), { recursive: true, force: true });
  for (const path of ['etc', 'tmp', STATE]) mkdirSync(join(base, path), { recursive: true });
  writeFileSync(
    join(base, 'etc', 'passwd'),
    `nonroot:x:${NONROOT}:${NONROOT}::/${STATE}:/usr/sbin/nologin\n`,
  );
  writeFileSync(join(base, 'etc', 'group'), `nonroot:x:${NONROOT}:\n`);
}

/** Without a shell there is no launcher: the image runs Node itself, under one path for every architecture. */
function stageGateway(
  program: string,
  whole: string,
  options: { readonly dist: string; readonly architecture: Architecture },
): void {
  stageProgram(whole, options);
  const to = join(program, PROGRAM);
  for (const part of ['dist', 'contracts', 'package.json', 'LICENSE', join('node_modules', '@mysten')])
    cpSync(join(whole, part), join(to, part), { recursive: true });
  cpSync(join(node24(options.architecture), 'bin', 'node'), join(to, 'node'));
}

/** The pinned packages as files, fetched by apt where they are not in the cache. */
function packagesOf(architecture: Architecture): readonly string[] {
  const text = readFileSync(join(root, 'deploy', 'images', 'gateway-packages.json'), 'utf8');
  const { suite, packages } = JSON.parse(text) as Pinned;
  const cache = join(root, '.cache', 'image-packages', architecture);
  mkdirSync(cache, { recursive: true });
  const fileOf = ({ name, version: of, sha256: sums }: Pinned['packages'][number]) => {
    const found = readdirSync(cache).find((file) => file.startsWith(`${name}_`) && isFile(file, sums));
    return found === undefined ? { missing: `${name}=${of}` } : { found: join(cache, found) };
  };
  const isFile = (file: string, sums: Readonly<Record<Architecture, string>>) =>
    sha256(join(cache, file)) === sums[architecture];
  const missing = packages.flatMap((one) => fileOf(one).missing ?? []);
  if (missing.length > 0) fetchPackages(cache, { suite, architecture, missing });
  return packages.map((one) => {
    const { found } = fileOf(one);
    if (found !== undefined) return found;
    throw new Error(
      `${one.name} ${one.version} with the SHA-256 ${one.sha256[architecture]} is not there: put the file from snapshot.debian.org into ${cache}, or pin another version`,
    );
  });
}

interface Fetching {
  readonly suite: string;
  readonly architecture: Architecture;
  readonly missing: readonly string[];
}

/** With lists of its own, so that another architecture than this machine's can be fetched. */
function fetchPackages(cache: string, { suite, architecture, missing }: Fetching): void {
  const state = mkdtempSync(join(tmpdir(), 'k3s-daas-apt-'));
  try {
    const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
    if (!existsSync(keyring)) throw new Error(`there is no ${keyring}: the packages are fetched on a Debian`);
    const source = (url: string, of: string) => `deb [signed-by=${keyring}] ${url} ${of} main\n`;
    const debian = 'http://deb.debian.org/debian';
    const sources = join(state, 'sources.list');
    writeFileSync(
      sources,
      [
        source(debian, suite),
        source(debian, `${suite}-updates`),
        source(`${debian}-security`, `${suite}-security`),
      ].join(''),
    );
    for (const path of ['lists/partial', 'cache/archives/partial'])
      mkdirSync(join(state, path), { recursive: true });
    const name = debianName(architecture);
    const settings = [
      `APT::Architecture=${name}`,
      `APT::Architectures::=${name}`,
      `Dir::State::lists=${join(state, 'lists')}`,
      `Dir::Cache=${join(state, 'cache')}`,
      `Dir::Etc::sourcelist=${sources}`,
      'Dir::Etc::sourceparts=/dev/null',
      'Dir::State::status=/dev/null',
      // Its sandbox user cannot write into the cache.
      'APT::Sandbox::User=root',
    ].flatMap((setting) => ['-o', setting]);
    outputOf('apt-get', [...settings, 'update', '-qq'], { withinMs: 10 * MINUTE_MS });
    // One that the mirror has no longer is named by its hash afterwards.
    outcomeOfChild('apt-get', [...settings, 'download', ...missing], {
      cwd: cache,
      withinMs: 10 * MINUTE_MS,
    });
  } finally {
    rmSync(state, { recursive: true });
  }
}
