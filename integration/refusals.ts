import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chainClient } from './world/outsider.ts';
import type { Line, Program } from './world/program.ts';
import { type Worker, type WorkerOptions, World } from './world/world.ts';

/** One world per file, in which workers are started that must be refused. */
export let world: World;
export let sui: SuiGrpcClient;
beforeAll(async () => {
  world = await World.start({ gateway: { admit: { tellTakenNames: true } } });
  sui = chainClient(world.chain.url);
});
afterAll(() => world?.close());

export interface End {
  readonly exitCode: number | null;
  readonly code: unknown;
  readonly sentence: string;
}

/** How a program ended: refused before it was a host, or as a host. */
export async function endOf(program: Program): Promise<End> {
  const { code: exitCode } = await program.exited;
  const failures = program.lines.filter((line): line is Line & { error: Line } => 'error' in line);
  const failed = (failures.find(({ level }) => level === undefined) ?? failures.find(isEnd))?.error;
  return {
    exitCode,
    code: failed?.code,
    sentence: textOf(failed?.message) ?? program.tail(),
  };
}

const isEnd = ({ event }: Line) => event === 'host.ended';
const textOf = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** What a refused start may leave: journal, key and proofs (which are public) in its own directory. */
const mayStay = new Set(['journal.json', 'node.key', 'proofs.db', 'proofs.db-wal', 'proofs.db-shm']);

async function expectNothingHalfDone({
  nodeId,
  wallet,
  stateDir,
  dataDir,
  directory,
}: Worker): Promise<void> {
  const { transactions } = await sui.core.listTransactions({ filter: { sender: wallet.address } });
  expect(transactions).toEqual([]);
  expect(await world.node(nodeId)).toBeUndefined();
  expect(processesThatName(directory)).toEqual([]);
  expect(filesBelow(stateDir).filter((file) => !mayStay.has(file))).toEqual([]);
  expect(filesBelow(dataDir)).toEqual([]);
  expect(filesBelow(join(world.runtimeDir, nodeId))).toEqual([]);
}

export interface Case {
  /** What is wrong. */
  readonly wrong: string;
  readonly options: (nodeId: string) => WorkerOptions | Promise<WorkerOptions>;
  readonly before?: (worker: Worker) => Promise<void>;
  readonly exitCode: 78 | 75 | 77 | 1;
  readonly code: string;
  /** Value, origin and fix, as the sentence must name them. */
  readonly says: (worker: Worker) => ReadonlyArray<string | RegExp>;
}

export const soon = { join: { deadlineMs: 20_000 } };

export async function expectRefused(
  worker: Worker,
  { before, exitCode, code, says }: Omit<Case, 'wrong' | 'options'>,
): Promise<void> {
  await before?.(worker);
  const end = await endOf(worker.start());
  expect(end).toMatchObject({ exitCode, code });
  for (const part of says(worker))
    if (typeof part === 'string') expect(end.sentence).toContain(part);
    else expect(end.sentence).toMatch(part);
  await expectNothingHalfDone(worker);
}

export function describeCases(name: string, prefix: string, cases: readonly Case[]): void {
  describe.concurrent(name, () => {
    test.each(cases.map((one, index) => ({ ...one, nodeId: `${prefix}-${index}` })))(
      '$wrong: $code, exit $exitCode',
      async ({ nodeId, options, ...one }) => {
        const given = await options(nodeId);
        const worker = await world.worker(nodeId, { ...given, config: { ...soon, ...given.config } });
        await expectRefused(worker, one);
      },
    );
  });
}

export async function clingingPlugin(): Promise<string> {
  const file = join(await mkdtemp(join(world.directory, 'plugin-')), 'clinging.mjs');
  await writeFile(
    file,
    `const config = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
    setInterval(() => undefined, 60_000);
    export default { name: 'clinging', api: 1, config, setup() { throw new Error('no luck'); } };`,
  );
  return file;
}

export const chainOf = (change: Record<string, unknown>) => ({
  config: { chain: { endpoints: [world.chain.url], deployment: world.deploymentFile, ...change } },
});

/** It goes with the world: of tests that run at once, none knows when another one has finished. */
export const directoryOf = (name: string) => mkdtemp(join(world.directory, `${name}-`));

export async function fileOf(name: string, content: string, file = 'wallet.key'): Promise<string> {
  const path = join(await directoryOf(name), file);
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

function filesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Processes whose command line or environment names a worker's directory: a host's, an agent's, a pod's. */
function processesThatName(directory: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(`${directory}/`);
        } catch {
          return false;
        }
      }),
    );
}
