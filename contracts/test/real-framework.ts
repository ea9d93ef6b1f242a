// Where Mysten's own framework sources come from, if from anywhere: a directory the caller names, or a pinned crate.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CONTRACTS, type Framework, readFramework } from './move.ts';

/** A crate of a third party that carries the sources of `0x1` and `0x2` unmodified (Apache-2.0). */
const CRATE = {
  name: 'moverox-sui',
  version: '0.4.0',
  sha256: '7928f8872665349147c8ebbd8369ab686a51ce2b49189229977f7ceb89a9f91c',
};
const FETCH_DEADLINE_MS = 90_000;

/**
 * The real framework sources, or a sentence why there are none. `SUI_FRAMEWORK_DIR` names a directory that holds
 * `move-stdlib/` and `sui-framework/` (as `crates/sui-framework/packages` in Sui's repository does); `none` says that
 * they are not wanted.
 */
export function realFramework(): Framework | string {
  const directory = process.env.SUI_FRAMEWORK_DIR;
  if (directory === 'none') return 'SUI_FRAMEWORK_DIR=none';
  if (directory) {
    for (const part of ['move-stdlib', 'sui-framework']) {
      if (!existsSync(join(directory, part, 'Move.toml'))) {
        throw new Error(`SUI_FRAMEWORK_DIR=${directory} has no ${part}/Move.toml`);
      }
    }
    return readFramework(directory, `the sources in SUI_FRAMEWORK_DIR (${directory})`);
  }
  const label = `${CRATE.name}-${CRATE.version}`;
  const cache = join(dirname(CONTRACTS), '.cache', 'sui-framework');
  const unpacked = join(cache, label);
  if (!existsSync(unpacked)) {
    const problem = fetchCrate(cache, label);
    if (problem) return problem;
  }
  return readFramework(join(unpacked, 'move'), `the real sources (crate ${CRATE.name} ${CRATE.version})`);
}

/** Brings the crate through cargo, checks it, unpacks it. Answers with a sentence when that was not possible. */
function fetchCrate(cache: string, label: string): string | undefined {
  const project = join(cache, 'fetch');
  mkdirSync(join(project, 'src'), { recursive: true });
  writeFileSync(join(project, 'src', 'lib.rs'), '');
  writeFileSync(
    join(project, 'Cargo.toml'),
    `[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n\n[dependencies]\n${CRATE.name} = "=${CRATE.version}"\n`,
  );
  const cargo = spawnSync('cargo', ['fetch', '--quiet'], {
    cwd: project,
    stdio: 'pipe',
    timeout: FETCH_DEADLINE_MS,
  });
  if (cargo.error && 'code' in cargo.error && cargo.error.code === 'ENOENT') return 'there is no cargo here';
  if (cargo.status !== 0) {
    const words = cargo.stderr.toString().trim().split('\n').at(-1) ?? '';
    return `cargo could not fetch ${label}: ${words}`;
  }
  const crate = findCrate(`${label}.crate`);
  if (!crate) return `cargo fetched ${label}, but its cache does not have the file`;
  const sha256 = createHash('sha256').update(readFileSync(crate)).digest('hex');
  if (sha256 !== CRATE.sha256) {
    throw new Error(`${label}.crate has SHA-256 ${sha256}, and not the pinned ${CRATE.sha256}`);
  }
  const partial = join(cache, 'partial');
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const tar = spawnSync('tar', ['-xzf', crate, '-C', partial], { stdio: 'pipe' });
  if (tar.status !== 0) return `tar could not unpack ${crate}`;
  renameSync(join(partial, label), join(cache, label));
  return undefined;
}

function findCrate(file: string): string | undefined {
  const caches = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'registry', 'cache');
  if (!existsSync(caches)) return undefined;
  return readdirSync(caches)
    .map((registry) => join(caches, registry, file))
    .find((path) => existsSync(path));
}
