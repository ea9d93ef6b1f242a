// `contracts:build`: compiles contracts/sources and writes contracts/build/k3s_daas.json, the interface the chain
// layer, the dev chain and `contracts publish` read. With --check it writes nothing and fails if the file is stale.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { BUILD_FILE, builderName, CONTRACTS, compile, ownFramework, readPackage } from './move.ts';

const check = process.argv.includes('--check');
const framework = ownFramework();
const build = await compile(readPackage(CONTRACTS), framework);
if (build.warnings !== '') {
  console.error(build.warnings);
  console.error('contracts:build: warnings and lints are failures');
  process.exit(1);
}
const text = `${JSON.stringify(
  {
    builder: await builderName(),
    framework: framework.name,
    digest: build.digest,
    modules: Object.fromEntries(Object.entries(build.modules).sort(([a], [b]) => (a < b ? -1 : 1))),
    dependencies: build.dependencies,
  },
  null,
  2,
)}\n`;
const sizes = Object.entries(build.modules)
  .map(([name, base64]) => `${name} ${Buffer.from(base64, 'base64').length} B`)
  .join(', ');
if (check) {
  if (read(BUILD_FILE) !== text) {
    console.error(
      'contracts/build/k3s_daas.json is not what contracts/sources compile to: npm run contracts:build',
    );
    process.exit(1);
  }
  console.log(`contracts/build/k3s_daas.json is what the sources compile to (digest ${build.digest})`);
} else {
  mkdirSync(dirname(BUILD_FILE), { recursive: true });
  writeFileSync(BUILD_FILE, text);
  console.log(`built ${sizes}; digest ${build.digest}`);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
