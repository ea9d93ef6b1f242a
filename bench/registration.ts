import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '../src/gateway/api-problem.ts';
import { toStored, workerKey } from '../src/gateway/stored-worker.ts';
import { testTls } from '../src/gateway/tls.fixture.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';
import { benchGateway } from './bench-gateway.ts';
import { costOfEach, round } from './cpu.ts';
import { type Newcomer, openRegistering, type Registering } from './registrations.ts';
import { spreadOf } from './table.ts';

/**
 * CPU of a durable registration of a new worker whose facts are cached, from its proof to its join credential, beside one bare sqlite
 * commit and one bare asynchronous Ed25519 verification; with few and with many workers registered, and with as many in work at once as callers wait instead
 * of the 8 of the default, by turns: what comes together shares a commit. No HTTP in either, and
 * the cluster is in memory. Then the latency at half of the rate that the turns reached, with few; of this process alone.
 *
 * usage: node --conditions=source bench/registration.ts [registrations a turn] [turns] [few] [many or 0] [seconds at half load or 0]
 */
const [count = 1_000, turns = 5, few = 1_000, many = 20_000, loadSeconds = 3] = process.argv
  .slice(2)
  .map(Number);
const lanes = 64;
const directory = await mkdtemp(join(tmpdir(), 'bench-registration-'));
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const tls = await testTls();

async function openWith(members: number, limits: object = {}): Promise<Registering> {
  const parts = await mkdtemp(join(directory, 'gateway-'));
  const settings = { admit: { maxNodes: 100_000 }, limits };
  return openRegistering(await benchGateway(parts, tls, settings), members);
}

/** The pragmas and the table of the gateway's own state. */
function openBare(): (index: number) => Promise<void> {
  const database = new DatabaseSync(join(directory, 'bare.db'));
  database.exec(`
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  `);
  const insert = database.prepare(
    'INSERT INTO records (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const value = JSON.stringify(toStored(aWorker(), undefined));
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const message = Buffer.alloc(700, 7);
  const signature = sign(null, message, privateKey);
  let next = 0;
  return async () => {
    await new Promise<void>((resolve, reject) => {
      verify(null, message, publicKey, signature, (error, isValid) =>
        isValid ? resolve() : reject(error ?? new Error('not valid')),
      );
    });
    database.exec('BEGIN IMMEDIATE');
    insert.run(workerKey(`worker-${next++}`), value);
    database.exec('COMMIT');
  };
}

async function turnOf(gateway: Registering): Promise<{ readonly cpuUs: number; readonly us: number }> {
  const newcomers = await gateway.newcomers(count);
  const cost = await costOfEach(count, lanes, (index) => gateway.register(newcomers[index] as Newcomer));
  await gateway.forget(newcomers);
  return cost;
}

/** Each begins at its own moment, whether those before have ended or not: one that begins late has waited since then. */
async function latencyAt(gateway: Registering, ratePerSecond: number) {
  let refused = 0;
  // The facts of more tokens that no worker has are not kept, and to look them up has a budget of its own.
  const most = Math.min(4_000, Math.ceil(ratePerSecond * loadSeconds));
  const newcomers = await gateway.newcomers(most);
  const startedAtMs = performance.now();
  const latencies = newcomers.map(async (newcomer, index) => {
    const dueAtMs = startedAtMs + (index * 1_000) / ratePerSecond;
    await sleep(Math.max(0, dueAtMs - performance.now()));
    try {
      await gateway.register(newcomer);
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      // Too many wait: it comes again, this much later at the earliest.
      refused += 1;
      return error.retryAfterMs ?? 0;
    }
    return performance.now() - dueAtMs;
  });
  const sorted = (await Promise.all(latencies)).toSorted((one, other) => one - other);
  const [p50Ms = 0, p99Ms = 0] = [0.5, 0.99].map((part) => sorted[Math.floor(sorted.length * part)]);
  return { p50Ms: round(p50Ms, 1), p99Ms: round(p99Ms, 1), refused };
}

await using withFew = await openWith(few);
await using withFewAtOnce = await openWith(few, { admissions: lanes });
await using withMany = many > 0 ? await openWith(many) : undefined;
const bare = openBare();
const times: number[] = [];
for (let turn = -1; turn <= turns; turn += 1) {
  const ours = await turnOf(withFew);
  const { cpuUs: bareUs } = await costOfEach(count, lanes, bare);
  const atOnce = await turnOf(withFewAtOnce);
  const manyUs = withMany && (await turnOf(withMany)).cpuUs;
  // The first turns compile.
  if (turn < 1) continue;
  times.push(ours.us);
  console.log(
    JSON.stringify({
      turn,
      members: few,
      registrationUs: round(ours.cpuUs),
      bareUs: round(bareUs),
      ratio: round(bareUs / ours.cpuUs, 2),
      atOnceUs: round(atOnce.cpuUs),
      ratioAtOnce: round(bareUs / atOnce.cpuUs, 2),
      ...(manyUs !== undefined && {
        many,
        withManyUs: round(manyUs),
        ratioWithMany: round(manyUs / ours.cpuUs, 2),
      }),
    }),
  );
}
if (loadSeconds > 0) {
  const ratePerSecond = 0.5 * (1e6 / spreadOf(times).median);
  const latency = await latencyAt(withFew, ratePerSecond);
  console.log(
    JSON.stringify({ what: 'half load', members: few, ratePerSecond: round(ratePerSecond), ...latency }),
  );
}
