/** A figure of the table: a script that prints one JSON object for each turn, and what of it counts. */
export interface BenchRow {
  readonly name: string;
  readonly what: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** docs/benchmarks.md says what is reached. */
  readonly target: number | undefined;
  /** The script with its arguments; of the short form too, where it is in that. */
  readonly argv: readonly string[];
  readonly short?: readonly string[];
  /** `undefined`: the object is no sample of this row. */
  readonly sample: (printed: Readonly<Record<string, unknown>>) => number | undefined;
  /** A run that is worse than this by more than a third fails: ratios and CPU alone, since times depend on what else runs. */
  readonly budget?: number;
}

const numberOf = (value: unknown) => (typeof value === 'number' ? value : undefined);
const startOf = (member: string) => (printed: Readonly<Record<string, unknown>>) =>
  printed.what === 'start' ? numberOf(printed[member]) : undefined;
const restOf = (member: string) => (printed: Readonly<Record<string, unknown>>) =>
  typeof printed.what === 'string' && printed.what.startsWith('rest') ? numberOf(printed[member]) : undefined;
const secondsOf = (command: string) => (printed: Readonly<Record<string, unknown>>) =>
  printed.command === command ? numberOf(printed.seconds) : undefined;

const ofHost = (what: string, member: string) => (printed: Readonly<Record<string, unknown>>) =>
  printed.what === what ? numberOf(printed[member]) : undefined;

const HOST = ['host-start.ts', '7', '60'];
const VERDICT = ['verdict.ts', '8000'];
const FLEET = ['gateway.ts', '50000', '20', '1'];
const COMMANDS = ['commands.ts', '5'];
const REGISTRATION = ['registration.ts', '1000', '5', '1000', '20000', '0'];
/** By itself: a gateway with 20 000 workers in the same process would read their facts meanwhile. */
const REGISTRATION_HALF_LOAD = ['registration.ts', '1000', '2', '1000', '0', '5'];
const REGISTRATION_SHORT = ['registration.ts', '512', '3', '1000', '0', '0'];
const ADMISSION = { argv: ['admission.ts', '128', '6'], short: ['admission.ts', '64', '3'] };
const FLEET_READS = {
  argv: ['fleet-reads.ts', '100', '1000', '5'],
  short: ['fleet-reads.ts', '100', '1000', '2'],
};

export const ROWS: readonly BenchRow[] = [
  {
    name: 'verdict',
    what: 'the verdict on a heartbeat’s proof: CPU of a bare asynchronous Ed25519 verification, as a part of it',
    unit: 'of bare',
    better: 'higher',
    target: 0.85,
    argv: VERDICT,
    short: ['verdict.ts', '2048'],
    sample: ({ ratio, round }) => (round === 1 ? undefined : numberOf(ratio)),
    budget: 0.5,
  },
  {
    name: 'verdict beside a JWS library',
    what: 'the same: CPU of the JWS library jose with a key that it has imported, for signature and claims alone, as a part of it',
    unit: 'of the library',
    better: 'higher',
    target: 1,
    argv: VERDICT,
    short: ['verdict.ts', '2048'],
    sample: ({ ratioOfLibrary, round }) => (round === 1 ? undefined : numberOf(ratioOfLibrary)),
    budget: 0.8,
  },
  {
    name: 'heartbeat',
    what: 'a heartbeat over kept TLS: CPU of bare Fastify, TLS and Ed25519, as a part of the gateway’s',
    unit: 'of bare',
    better: 'higher',
    target: 0.85,
    argv: ['heartbeat.ts', '1600', '8'],
    short: ['heartbeat.ts', '800', '3'],
    sample: ({ ratio }) => numberOf(ratio),
    budget: 0.5,
  },
  {
    name: 'heartbeat with 50 000 workers',
    what: 'CPU of the gateway’s process for a heartbeat where 50 000 workers are registered, beside 1 000',
    unit: 'of 1 000',
    better: 'lower',
    target: 1.05,
    argv: ['heartbeat.ts', '1600', '6', '50000'],
    sample: ({ ratioWithOthers }) => numberOf(ratioWithOthers),
  },
  {
    name: 'decision',
    what: 'CPU of a durable decision, 64 in flight, as registrations make them',
    unit: 'µs',
    better: 'lower',
    target: undefined,
    argv: ['registry.ts', '4000'],
    short: ['registry.ts', '2000'],
    sample: ({ usOfCpuEach }) => numberOf(usOfCpuEach),
  },
  {
    name: 'registration',
    what: 'a durable registration of a new worker, facts cached, from its proof to its join credential, cluster in memory: CPU of a bare sqlite commit and a bare Ed25519 verification, as a part of it',
    unit: 'of bare',
    better: 'higher',
    target: 0.7,
    argv: REGISTRATION,
    short: REGISTRATION_SHORT,
    sample: ({ ratio }) => numberOf(ratio),
    budget: 0.4,
  },
  {
    name: 'registration, 64 in work at once',
    what: 'the same where `gateway.limits.admissions` is 64 instead of 8: what comes together shares a commit',
    unit: 'of bare',
    better: 'higher',
    target: 0.7,
    argv: REGISTRATION,
    short: REGISTRATION_SHORT,
    sample: ({ ratioAtOnce }) => numberOf(ratioAtOnce),
    budget: 0.5,
  },
  {
    name: 'registration with 20 000 workers',
    what: 'CPU of the same where 20 000 workers are registered, beside 1 000',
    unit: 'of 1 000',
    better: 'lower',
    target: 1.05,
    argv: REGISTRATION,
    sample: ({ ratioWithMany }) => numberOf(ratioWithMany),
  },
  {
    name: 'registration at half load',
    what: 'p99 of its latency at half of the rate that the turns reached, in the process of those who register',
    unit: 'ms',
    better: 'lower',
    target: 25,
    argv: REGISTRATION_HALF_LOAD,
    sample: ({ p99Ms }) => numberOf(p99Ms),
  },
  {
    name: 'admission',
    what: 'CPU of a registration by the real Kubernetes client over TLS, 5 000 names admitted; the API server is a stand-in in a process of its own',
    unit: 'ms',
    better: 'lower',
    target: 8,
    ...ADMISSION,
    sample: ({ withManyMs }) => numberOf(withManyMs),
  },
  {
    name: 'admission beside 100 names',
    what: 'the same with 5 000 names admitted, beside 100',
    unit: 'of 100',
    better: 'lower',
    target: 1.1,
    ...ADMISSION,
    sample: ({ ratioWithMany }) => numberOf(ratioWithMany),
    budget: 1.1,
  },
  {
    name: 'admission beside bare reads',
    what: 'the same: CPU of as many bare reads of a Secret by Node’s own HTTPS client, as a part of it',
    unit: 'of bare',
    better: 'higher',
    target: undefined,
    ...ADMISSION,
    sample: ({ ratio }) => numberOf(ratio),
  },
  {
    name: 'chain reads of a gateway',
    what: 'calls a second for 1 000 workers at rest, on a clock that is turned: the cluster object, and facts of which nothing was announced',
    unit: 'a second',
    better: 'lower',
    target: 1,
    ...FLEET_READS,
    sample: ({ gatewayOfMany }) => numberOf(gatewayOfMany),
    budget: 2.2,
  },
  {
    name: 'chain reads beside 100 workers',
    what: 'calls a second with 1 000 workers, beside 100',
    unit: 'of 100',
    better: 'lower',
    target: 1.05,
    ...FLEET_READS,
    sample: ({ ratioOfGateways }) => numberOf(ratioOfGateways),
    budget: 1.8,
  },
  {
    name: 'chain reads of a fleet of 1 000',
    what: 'those of the gateway, and 1 000 times those of one host at rest that hears of changes',
    unit: 'a second',
    better: 'lower',
    target: 1,
    ...FLEET_READS,
    sample: ({ fleetOfMany }) => numberOf(fleetOfMany),
    budget: 87,
  },
  {
    name: 'writing the figures of heartbeats',
    what: 'longest block of the thread while those of 10 000 workers go to the disk, sqlite',
    unit: 'ms',
    better: 'lower',
    target: 20,
    argv: ['flush.ts', '10000', '5'],
    sample: ({ longestBlockMs }) => numberOf(longestBlockMs),
  },
  {
    name: 'start with 10 000 records',
    what: 'from the call to a gateway that listens',
    unit: 'ms',
    better: 'lower',
    target: 1_000,
    argv: ['gateway.ts', '10000', '0', '1'],
    sample: startOf('ms'),
  },
  {
    name: 'its longest block of the thread',
    what: 'within that start',
    unit: 'ms',
    better: 'lower',
    target: 50,
    argv: ['gateway.ts', '10000', '0', '1'],
    sample: startOf('longestBlockMs'),
  },
  {
    name: 'start with 50 000 records',
    what: 'from the call to a gateway that listens',
    unit: 'ms',
    better: 'lower',
    target: 4_000,
    argv: FLEET,
    sample: startOf('ms'),
  },
  {
    name: '50 000 workers at rest: delay of the event loop',
    what: '99th percentile over 20 s, no heartbeats, fake chain and cluster in the same process',
    unit: 'ms',
    better: 'lower',
    target: 20,
    argv: FLEET,
    sample: restOf('delayP99Ms'),
  },
  {
    name: 'their CPU',
    what: 'of one core, meanwhile',
    unit: '%',
    better: 'lower',
    target: 2,
    argv: FLEET,
    sample: restOf('cpuPercent'),
  },
  {
    name: 'their resident memory',
    what: 'with the fake chain and cluster, which hold a record, a token and a Node for each',
    unit: 'MiB',
    better: 'lower',
    target: 400,
    argv: FLEET,
    sample: restOf('rssMiB'),
  },
  {
    name: 'their reads of the chain',
    what: 'calls a second that read again facts of which nothing was announced, beside the one of the cluster object',
    unit: 'a second',
    better: 'lower',
    target: undefined,
    argv: FLEET,
    sample: restOf('chainReadsASecond'),
  },
  {
    name: '`--help`',
    what: 'CPU of the built program',
    unit: 's',
    better: 'lower',
    target: 0.15,
    argv: COMMANDS,
    sample: secondsOf('help'),
  },
  {
    name: '`gateway nodes`',
    what: 'CPU of the built program',
    unit: 's',
    better: 'lower',
    target: 0.3,
    argv: COMMANDS,
    sample: secondsOf('gateway nodes'),
  },
  {
    name: '`config`',
    what: 'CPU of the built program',
    unit: 's',
    better: 'lower',
    target: 0.4,
    argv: COMMANDS,
    sample: secondsOf('config'),
  },
  {
    name: '`credential`',
    what: 'CPU of the built program for a login of kubectl',
    unit: 's',
    better: 'lower',
    target: 0.06,
    argv: COMMANDS,
    sample: secondsOf('credential'),
  },
  {
    name: 'a host beside the bare agent',
    what: 'what it adds to the start of an agent on its certificates, until the kubelet is healthy; by turns',
    unit: 'ms',
    better: 'lower',
    target: 300,
    argv: HOST,
    sample: ofHost('start', 'addedMs'),
  },
  {
    name: 'CPU of a host until the agent is executed',
    what: 'in the same turns',
    unit: 'ms',
    better: 'lower',
    target: undefined,
    argv: HOST,
    sample: ofHost('start', 'cpuUntilExecMs'),
  },
  {
    name: 'memory of a host at rest',
    what: 'resident, two minutes after its start',
    unit: 'MiB',
    better: 'lower',
    target: 100,
    argv: HOST,
    sample: ofHost('rest', 'rssMiB'),
  },
  {
    name: 'CPU of a host at rest',
    what: 'of a core, in the second minute after its start',
    unit: '%',
    better: 'lower',
    target: 0.3,
    argv: HOST,
    sample: ofHost('rest', 'cpuPercent'),
  },
];
