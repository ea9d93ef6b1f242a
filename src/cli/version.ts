import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { carriedFile, isSingleExecutable } from '#base';
import { type Io, table } from './io.ts';
import { packageVersion } from './package-version.ts';

/** The releases of k3s that this version was run on, server and workers (docs/testing.md). */
const K3S_TESTED: readonly string[] = ['v1.35.0', 'v1.36.3'];

/** Packages of the contracts on public networks that this release knows, by the name of the network: none yet. */
const PUBLISHED_PACKAGES: Readonly<Record<string, string>> = {};

/** `k3s-daas version`: what this program is, for support and for scripts. */
export function versionCommand(io: Io): Command {
  return new Command('version')
    .description(
      'Print version, commit, Node, the published contract packages that this release knows, and the k3s versions it was tested on.',
    )
    .option('--json', 'print one JSON object and nothing else')
    .action(() => {
      const version = packageVersion();
      const { commit } = buildFacts();
      io.result(
        {
          version,
          commit: commit ?? null,
          node: process.versions.node,
          platform: `${process.platform}-${process.arch}`,
          isSingleExecutable,
          packages: PUBLISHED_PACKAGES,
          k3sTested: K3S_TESTED,
        },
        table([
          ['version', version],
          ['commit', commit ?? 'unknown (not a build of a clone)'],
          ['node', `${process.versions.node} on ${process.platform}-${process.arch}`],
          ['packages', Object.keys(PUBLISHED_PACKAGES).join(', ') || 'none on public networks'],
          ['k3s tested', K3S_TESTED.join(', ')],
        ]),
      );
    });
}

/** What the build wrote (scripts/bundle.ts); sources have none. */
function buildFacts(): { readonly commit?: string } {
  for (const path of ['./build.json', '../build.json']) {
    try {
      const text = isSingleExecutable
        ? carriedFile('build.json')
        : readFileSync(new URL(path, import.meta.url), 'utf8');
      return JSON.parse(text) as { commit?: string };
    } catch {
      // Not there: the next one is.
    }
  }
  return {};
}
