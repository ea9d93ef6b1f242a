// `contracts:mutants`: makes small wrong changes to contracts/sources, one at a time, and runs the tests on each. A
// mutant must be killed, that is, some test must fail on it, or be listed in equivalent-mutants.json with the reason
// why no test could. A listed mutant that is killed, or that does not exist, is an error too.
//
//   --only <word>   only mutants whose name contains the word
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { CONTRACTS, type Files, ownFramework, readPackage } from './move.ts';
import { type Mutant, mutantsOf } from './mutate.ts';
import { TestPool } from './pool.ts';
import { collectSuites, type Suite } from './suites.ts';

// Long, because a mutant that is only slow on a busy machine must not count as killed.
const DEADLINE_MS = 60_000;
const PROGRESS_EVERY = 25;
/** Mutants are judged by the same generated cases every time. */
const SEED = 1;
/** Which tests most likely notice a change in a function or module; all the others follow, the slowest last. */
const FIRST: readonly (readonly [string, readonly string[]])[] = [
  ['cluster::note', ['rings_tests']],
  ...[
    'create_cluster',
    'offer_admin',
    'accept_admin',
    'register_gateway',
    'set_gateway',
    'set_servers',
    'assert_servers',
    'are_hashes',
    'has_gateway',
    'is_https_url',
    'is_attestation_kind',
    'gateway_index',
  ].map((name) => [`cluster::${name}`, ['cluster_tests']] as const),
  ['cluster::claim_node_id', ['staking_tests']],
  ['cluster::reserve', ['staking_tests']],
  ['cluster::unreserve', ['staking_tests']],
  ['cluster::is_node_id', ['staking_tests']],
  ['cluster::attest_gateway', ['attestation_tests']],
  ['cluster::release_node_id', ['staking_tests']],
  ['cluster::hold_until', ['staking_tests']],
  ['cluster::', ['parameters_tests', 'cluster_tests']],
  ['cluster', ['parameters_tests', 'cluster_tests', 'rings_tests']],
  ['staking', ['staking_tests', 'slashing_tests']],
  ['slashing', ['slashing_tests']],
  ['k8s_gateway', ['k8s_gateway_tests']],
  ['attestation', ['attestation_tests']],
];
const SLOWEST = 'rings_tests';

interface Listed {
  readonly mutant: string;
  readonly reason: string;
}
type Verdict = 'killed' | 'hung' | 'does not compile' | 'survived';

const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined;
const listed = JSON.parse(
  readFileSync(join(CONTRACTS, 'test', 'equivalent-mutants.json'), 'utf8'),
) as readonly Listed[];
const reasons = new Map(listed.map(({ mutant, reason }) => [mutant, reason]));

const sources = readPackage(CONTRACTS);
const suites = collectSuites(SEED).suites.filter((suite) => !suite.name.startsWith('scenarios'));
const all = Object.entries(sources)
  .filter(([path]) => path.endsWith('.move'))
  .flatMap(([path, text]) => mutantsOf(path, text));
const mutants = all.filter((mutant) => only === undefined || mutant.id.includes(only));
const pool = new TestPool(ownFramework(), Math.min(2, availableParallelism()), DEADLINE_MS);

const started = performance.now();
const problems: string[] = [];
const verdicts = new Map<Verdict, number>();
let done = 0;
let passed = 0;

const healthy = await firstFailure(sources, suites);
if (healthy !== undefined) {
  console.error(`the tests fail on the sources as they are: ${healthy}`);
  process.exit(1);
}
console.log(`${mutants.length} mutants of ${all.length}, ${suites.length} test files`);
await Promise.all(mutants.map((mutant) => judge(mutant)));
await pool.close();

if (only === undefined) {
  const known = new Set(all.map((mutant) => mutant.id));
  for (const { mutant } of listed)
    if (!known.has(mutant)) problems.push(`listed, but there is no such mutant: ${mutant}`);
}
for (const problem of problems) console.log(`FAILED ${problem}`);
const seconds = ((performance.now() - started) / 1000).toFixed(0);
const counts = [...verdicts].map(([verdict, count]) => `${count} ${verdict}`).join(', ');
console.log(`${mutants.length} mutants in ${seconds} s: ${counts}; ${listed.length} listed as equivalent`);
console.log(`${passed} passed, ${problems.length} failed`);
process.exitCode = problems.length === 0 ? 0 : 1;

async function judge(mutant: Mutant): Promise<void> {
  const verdict = await verdictOf(mutant);
  verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
  if (verdict === 'hung') console.log(`  hung: ${mutant.id}`);
  const isListed = reasons.has(mutant.id);
  if (verdict === 'does not compile') problems.push(`does not compile, so it proves nothing: ${mutant.id}`);
  else if (verdict === 'survived' && !isListed) problems.push(`survived (line ${mutant.line}): ${mutant.id}`);
  else if (verdict !== 'survived' && isListed)
    problems.push(`listed as equivalent, but ${verdict}: ${mutant.id}`);
  else passed += 1;
  done += 1;
  if (done % PROGRESS_EVERY === 0 || done === mutants.length) {
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`  ${done} of ${mutants.length} after ${seconds} s, ${problems.length} problems`);
  }
}

async function verdictOf(mutant: Mutant): Promise<Verdict> {
  const first = FIRST.find(([prefix]) => mutant.id.startsWith(prefix))?.[1] ?? [];
  const rank = ({ name }: Suite): number => {
    if (first.includes(name)) return first.indexOf(name) - first.length;
    return name === SLOWEST ? 1 : 0;
  };
  const ordered = [...suites].sort((a, b) => rank(a) - rank(b));
  const files = { ...sources, [mutant.path]: mutant.source };
  return (await firstFailure(files, ordered)) ?? 'survived';
}

/** The verdict of the first test file that notices, if one does. */
async function firstFailure(files: Files, ordered: readonly Suite[]): Promise<Verdict | undefined> {
  for (const suite of ordered) {
    const outcome = await pool.run({ ...files, ...suite.files });
    if (outcome.hung) return 'hung';
    if (!outcome.passed) return outcome.tests.length === 0 ? 'does not compile' : 'killed';
  }
  return undefined;
}
