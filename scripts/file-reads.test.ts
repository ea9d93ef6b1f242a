import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Sources that read files in another way, and why that is safe. */
const readOtherwise: Readonly<Record<string, string>> = {
  'src/infrastructure/trusted-file.ts': 'the one way itself',
  'src/infrastructure/kernel-file.ts': '/proc and /sys/fs/cgroup, for the three of src/agent below',
  'src/infrastructure/machine-id.ts': '/etc/machine-id; the journal decides',
  'src/infrastructure/process-identity.ts': '/proc',
  'src/agent/certificates.ts': 'public certificates, which the gateway examines',
  'src/agent/cgroup.ts': '/proc and /sys/fs/cgroup',
  'src/agent/process-table.ts': '/proc',
  'src/agent/usage.ts': '/proc',
  'src/api/system-roots.ts': 'the CAs that the machine trusts: only ever refused for',
  'src/chain/contract-build.ts': 'this package',
  'src/cli/authorizer-proof.ts': 'compared by its hash with what the API server runs',
  'src/cli/server-files.ts':
    'compared with what would be written, and searched for arguments that exclude it',
  'src/cli/doctor-probes.ts': 'what it finds is shown, and decides nothing',
  'src/cli/package-version.ts': 'this package',
  'src/cli/version.ts': 'what the build wrote into this package',
  'src/cli/evidence.ts': 'its hash goes on chain, whatever is in it',
  'src/cli/status-source.ts': 'what it finds is shown, and decides nothing',
  'src/install/machine.ts': 'compared with what would be written, and shown',
};

test('every source reads files through trusted-file.ts, or is named here with the reason', () => {
  const sources = ['src/**/*.ts', 'plugins/**/*.ts']
    .flatMap((pattern) => globSync(pattern, { cwd: root }))
    .filter((path) => !/\.(test|suite|fixture)\.|\/testing\//.test(path));
  const reads = sources.filter((path) =>
    /\b(?:readFile|readFileSync|readSync|readKernelFile|readKernelFileNow|createReadStream|loadFromFile)\(/.test(
      readFileSync(join(root, path), 'utf8'),
    ),
  );
  expect(sources.length).toBeGreaterThan(100);
  expect(reads.toSorted()).toEqual(Object.keys(readOtherwise).toSorted());
});
