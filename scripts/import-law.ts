/**
 * The import law: which doors and which npm packages each room of this project may use. Everything that is not named is
 * forbidden. The linter's configuration (biome.law.json, which biome.json extends) and the table in docs/architecture.md are made from it
 * (`node scripts/run.mjs law`), and every file is held to it by `violations`.
 */

export interface Room {
  /** A glob as Biome and people read it; the last room that matches a file is the file's. */
  readonly files: string;
  readonly holds: string;
  /** `#base`, `k3s-daas/plugin`. */
  readonly doors: readonly string[];
  /** npm packages with all their subpaths. */
  readonly packages: readonly string[];
  /** Files of other rooms that are reached by `../`, as nobody else may. */
  readonly reachesUp?: boolean;
  /** Rows that only give one file more than its room has are left out of the documents. */
  readonly isDetail?: boolean;
}

const SUI = '@mysten/sui';
/** The certificate library asks for the metadata package to be loaded before it. */
const X509 = ['@peculiar/x509', 'reflect-metadata'];
const OPENTELEMETRY = ['api', 'context-async-hooks', 'core', 'sdk-trace-base'].map(
  (name) => `@opentelemetry/${name}`,
);
const CHECKS = ['@arethetypeswrong/core', '@cyclonedx/cyclonedx-library', 'publint'];
export const ALL_DOORS = [
  ...'#agent #api #authorizer #base #chain #cluster #composition #domain #gateway #gateway-config #host'.split(
    ' ',
  ),
  ...'#infrastructure #install #login #plugin #plugins #proof #seal #state #tee #testing @k3s-daas/devnet k3s-daas/plugin'.split(
    ' ',
  ),
];

export const ROOMS: readonly Room[] = [
  {
    files: 'src/base/**',
    holds: 'words that every layer may use: errors, lifetime, clock, back-off, secret, log, display',
    doors: [],
    packages: [],
  },
  {
    files: 'src/domain/**',
    holds: 'what the project is about: chain facts, node ids, the ends of a stake, the port to Kubernetes',
    doors: ['#base'],
    packages: [],
  },
  {
    files: 'src/infrastructure/**',
    holds: 'the machine: settings, logger, journal, lock, trusted files, processes, connections, proxies',
    doors: ['#base'],
    packages: ['cosmiconfig', 'fastest-levenshtein', 'picocolors', 'winston', 'yaml', 'zod'],
  },
  {
    files: 'src/infrastructure/proxied-fetch.ts',
    holds: 'the one file that sends calls through a proxy',
    doors: ['#base'],
    packages: ['undici'],
    isDetail: true,
  },
  {
    files: 'src/infrastructure/tracing.ts',
    holds: 'the one file that speaks to OpenTelemetry',
    doors: ['#base'],
    packages: ['@opentelemetry/api'],
    isDetail: true,
  },
  {
    files: 'src/infrastructure/tracing.test.ts',
    holds: 'its test, with the SDK',
    doors: ['#base'],
    packages: OPENTELEMETRY,
    isDetail: true,
  },
  {
    files: 'src/plugin/**',
    holds: 'the published plugin contract (`k3s-daas/plugin`)',
    doors: ['#base', '#domain'],
    packages: [],
  },
  {
    files: 'src/testing/**',
    holds: 'fakes that the tests of every layer may use: clock, chain, Kubernetes, journal, log',
    doors: ['#base', '#domain', '#seal'],
    packages: [],
  },
  {
    files: 'src/plugin/testing/**',
    holds: 'the test kit for plugins (`k3s-daas/plugin/testing`): loads through the real catalog',
    doors: ['#base', '#domain', '#plugin', '#host', '#testing'],
    packages: ['zod'],
  },
  {
    files: 'src/composition/**',
    holds: 'the parts of a program: factories under tokens; the one room that knows the container',
    doors: ['#plugin'],
    packages: ['tsyringe', 'reflect-metadata'],
  },
  {
    files: 'src/host/**',
    holds: 'plugin catalog, tasks, events, life cycle; knows nothing of k3s, Sui or HTTP',
    doors: ['#base', '#composition', '#domain', '#infrastructure', '#plugin'],
    packages: ['fastest-levenshtein', 'semver', 'zod'],
  },
  {
    files: 'src/agent/**',
    holds: 'the k3s child process: arguments, token file, supervision, log lines',
    doors: ['#base', '#domain', '#infrastructure', '#plugin'],
    packages: ['yaml', 'zod'],
  },
  {
    files: 'src/agent/process.ts',
    holds: 'the one file that starts the agent',
    doors: ['#base', '#domain', '#infrastructure', '#plugin'],
    packages: ['execa'],
    isDetail: true,
  },
  {
    files: 'src/chain/**',
    holds: 'Sui: reads, calls, journaled transactions, the change rings, generated bindings',
    doors: ['#base', '#domain', '#infrastructure', '#plugin'],
    packages: [SUI, '@mysten/move-bytecode-template', 'zod'],
  },
  {
    files: 'src/chain/endpoints/endpoint.test.ts',
    holds: 'makes the certificate of a full node that is not trusted',
    doors: ['#base', '#infrastructure'],
    packages: [SUI, ...X509],
    isDetail: true,
  },
  {
    files: 'src/chain/proof/**',
    holds: 'proofs that Sui’s validators signed what a full node says',
    doors: ['#base'],
    packages: [SUI, '@mysten/bcs', '@noble/curves', '@noble/hashes', 'zod'],
  },
  {
    files: 'src/login/**',
    holds: 'a person’s login by kubectl: the proof, signed and printed; loads next to nothing',
    doors: ['#base', '#infrastructure'],
    packages: [],
  },
  {
    files: 'src/seal/**',
    holds: 'the Seal proof: claims, signing, verifying; node key and node password',
    doors: ['#base', '#domain', '#infrastructure', '#login', '#plugin'],
    packages: ['jose', 'zod'],
  },
  {
    files: 'src/tee/**',
    holds: 'attestation: evidence of every TEE, checked by one policy at one time; collateral as files',
    doors: ['#base', '#infrastructure'],
    packages: ['zod'],
  },
  {
    files: 'src/tee/dev-*.ts',
    holds: 'the development PKI: evidence in the vendors’ forms below a root of our own',
    doors: ['#base'],
    packages: X509,
    isDetail: true,
  },
  {
    files: 'src/api/**',
    holds: 'the gateway’s HTTP API as both sides see it, and the worker’s client',
    doors: ['#base', '#domain', '#infrastructure', '#plugin', '#seal'],
    packages: [...X509, 'zod'],
  },
  {
    files: 'src/authorizer/**',
    holds:
      'the authorizer webhook of the API server, in a process of its own: table, judgement, listener, watchdog',
    doors: ['#base', '#domain', '#infrastructure'],
    packages: [],
  },
  {
    files: 'src/authorizer/webhook-keys.ts',
    holds: 'the keys of the webhook and of its one client',
    doors: [],
    packages: X509,
    isDetail: true,
  },
  {
    files: 'src/state/**',
    holds: 'where the gateway’s state is: engines, sealed values, keys, backup, who leads',
    doors: ['#base', '#domain', '#infrastructure'],
    packages: [],
  },
  {
    files: 'src/state/etcd-client.ts',
    holds: 'the one file that speaks to etcd',
    doors: ['#base', '#infrastructure'],
    packages: ['undici'],
    isDetail: true,
  },
  {
    files: 'src/gateway/**',
    holds: 'the service: verdicts, admission, decisions, eviction, audit',
    doors: '#base #domain #infrastructure #login #plugin #seal #state #api #authorizer'.split(' '),
    packages: [...X509, 'fastify', 'prom-client', 'zod'],
  },
  {
    files: 'src/gateway/request-spans.test.ts',
    holds: 'the test of spans, with the SDK',
    doors: ['#api', '#base', '#infrastructure'],
    packages: OPENTELEMETRY,
    isDetail: true,
  },
  {
    files: 'src/cluster/**',
    holds: 'Kubernetes: credentials, node passwords, the policies, eviction',
    doors: ['#base', '#domain', '#infrastructure', '#plugin'],
    packages: ['@kubernetes/client-node', 'yaml'],
  },
  {
    files: 'src/install/**',
    holds: 'the services of the machine: units, plans to install, take over and roll back, and their steps',
    doors: ['#base', '#infrastructure'],
    packages: ['yaml', 'zod'],
  },
  {
    files: 'src/install/download.ts',
    holds: 'the one file that fetches a program',
    doors: ['#base', '#infrastructure'],
    packages: ['undici'],
    isDetail: true,
  },
  {
    files: 'src/install/download.test.ts',
    holds: 'its test, with mirrors of undici',
    doors: [],
    packages: ['undici'],
    isDetail: true,
  },
  {
    files: 'src/cli/**',
    holds: 'one file per command; here the layers meet',
    doors: ALL_DOORS,
    packages: [...X509, 'commander', 'fastest-levenshtein', 'zod'],
  },
  {
    files: 'src/cli/gateway-authorizer.test.ts',
    holds: 'reads back what the command wrote',
    doors: ALL_DOORS,
    packages: ['yaml'],
    isDetail: true,
  },
  {
    files: 'src/*.ts',
    holds: 'the entry: finds the command and loads it, compiled from a cache',
    doors: ['#base', '#login', './cli'],
    packages: ['commander'],
  },
  {
    files: 'plugins/index.ts',
    holds: 'the built-ins by name',
    doors: ['k3s-daas/plugin'],
    packages: [],
    isDetail: true,
  },
  {
    files: 'plugins/*/**',
    holds: '`staking`, `registration`, `heartbeat`, `slashing`, `notifier`: import what anybody’s plugin can',
    doors: ['k3s-daas/plugin'],
    packages: ['zod'],
  },
  {
    files: 'plugins/notifier/**',
    holds: '`notifier` runs a program, reads a secret and calls a webhook as the host itself does',
    doors: ['#infrastructure', 'k3s-daas/plugin'],
    packages: ['zod'],
    isDetail: true,
  },
  {
    files: 'devnet/src/**',
    holds: 'the dev chain, a package of its own (`@k3s-daas/devnet`); it knows nothing of K3s-DaaS',
    doors: [],
    packages: [SUI, '@mysten/move-bytecode-template', '@noble/curves', '@noble/hashes', 'zod'],
  },
  {
    files: 'contracts/**',
    holds: 'the Move package, its tests and generators',
    doors: ['#base', '#proof', '@k3s-daas/devnet'],
    packages: [SUI, '@mysten/move-bytecode-template', '@zktx.io/sui-move-builder', 'zod'],
    reachesUp: true,
  },
  {
    files: 'scripts/**',
    holds: 'the npm scripts and their generators',
    doors: [],
    packages: [
      SUI,
      '@mysten/move-bytecode-template',
      ...CHECKS,
      'ajv',
      'rolldown',
      'rolldown-plugin-dts',
      'yaml',
    ],
    reachesUp: true,
  },
  {
    files: 'vitest.config.ts',
    holds: 'the projects of the tests',
    doors: [],
    packages: ['vitest'],
    isDetail: true,
  },
  {
    files: 'integration/**',
    holds: 'stand-ins, worlds of real processes, the real API server',
    doors: ALL_DOORS,
    packages: [
      SUI,
      ...X509,
      ...CHECKS,
      'commander',
      'jose',
      'testcontainers',
      '@testcontainers/k3s',
      'yaml',
      'zod',
    ],
    reachesUp: true,
  },
  {
    files: 'bench/**',
    holds: 'what the parts cost, measured by hand',
    doors: ['#api', '#authorizer', '#base', '#cluster', '#login', '#seal', '#state', '#testing'],
    packages: ['fastify', 'jose'],
    reachesUp: true,
  },
];

/** What tests and their fixtures may use on top of their room. */
export const TEST_FILES = ['**/*.test.ts', '**/*.suite.ts', '**/*.fixture.ts', 'integration/**'];
export const TEST_DOORS: readonly string[] = ['#testing', 'k3s-daas/plugin/testing'];
export const TEST_PACKAGES: readonly string[] = ['vitest'];

/** The room of a file, or `undefined`: a file without a room may import nothing. */
export function roomOf(file: string): Room | undefined {
  return ROOMS.findLast(({ files }) => matches(file, files));
}

export function isTest(file: string): boolean {
  return TEST_FILES.some((glob) => matches(file, glob));
}

/** Every import of a file that its room does not allow. */
export function violations(file: string, source: string): readonly string[] {
  const room = roomOf(file);
  return specifiersIn(source).filter((specifier) => !isAllowed(specifier, room, isTest(file)));
}

function isAllowed(specifier: string, room: Room | undefined, inTest: boolean): boolean {
  if (specifier.startsWith('node:')) return true;
  if (room === undefined) return false;
  if (specifier.startsWith('./')) return true;
  if (specifier.startsWith('../')) return room.reachesUp === true;
  const doors = inTest ? [...room.doors, ...TEST_DOORS] : room.doors;
  const packages = inTest ? [...room.packages, ...TEST_PACKAGES] : room.packages;
  return (
    doors.includes(specifier) ||
    packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))
  );
}

/** Sources are formatted: one spelling of each form. Comments are no imports. */
function specifiersIn(source: string): readonly string[] {
  const code = source.replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  const forms =
    /(?:^|[\s};])(?:import|export)\s(?:[^'"`;]*?\sfrom\s)?\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm;
  return [...code.matchAll(forms)]
    .map(([, fixed, dynamic]) => fixed ?? dynamic ?? '')
    .filter((specifier) => !specifier.includes('${'));
}

function matches(file: string, glob: string): boolean {
  const pattern = glob
    .replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**/', '\0')
    .replaceAll('**', '\x01')
    .replaceAll('*', '[^/]*')
    .replaceAll('\0', '(?:.*/)?')
    .replaceAll('\x01', '.*');
  return new RegExp(`^${pattern}$`).test(file);
}
