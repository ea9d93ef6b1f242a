import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { slashCommand } from '../../src/cli/slash.ts';
import { stakeCommand } from '../../src/cli/stake.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';
import { runInProcess } from './run-command.ts';

let world: ChainWorld;
let deployment = '';
type Keyed = Awaited<ReturnType<ChainWorld['wallet']>>;
let first: Keyed;
let second: Keyed;
let staker: Keyed;
const CHALLENGE_MS = 600_000n;

beforeAll(async () => {
  world = await startChainWorld();
  [first, second, staker] = await Promise.all([world.wallet(), world.wallet(), world.wallet()]);
  deployment = join(world.directory, 'deployment.json');
  await writeFile(deployment, JSON.stringify({ ...world.deployment, clusterId: undefined }));
  const roles = ['--slasher', first.address, '--slasher', second.address, '--threshold', '2'];
  const servers = ['--server', 'https://k3s.example:6443', '--ca-hash', '07'.repeat(32)];
  await run('cluster', 'create', ...as(first, ...roles, ...servers, '--challenge', `${CHALLENGE_MS}ms`));
});
afterAll(() => world[Symbol.asyncDispose]());

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const printed = await runInProcess([clusterCommand, slashCommand, stakeCommand], [...args, '--json']);
  return JSON.parse(printed) as Record<string, unknown>;
}

async function refusal(...args: string[]): Promise<DaasError> {
  const error = await run(...args).catch((caught: unknown) => caught);
  if (error instanceof DaasError) return error;
  throw new Error(`${args.join(' ')} was not refused: ${JSON.stringify(error)}`);
}

const network = () => ['--endpoint', world.url, '--deployment', deployment];
const as = (wallet: Keyed, ...flags: string[]) => [
  ...network(),
  '--key-file',
  wallet.keyFile,
  '--yes',
  ...flags,
];

async function stakeFor(nodeId: string): Promise<void> {
  const { termsFingerprint } = await run('cluster', 'show', ...network());
  const flags = ['--node-id', nodeId, '--amount', '2', '--accept-terms', String(termsFingerprint)];
  await run('stake', ...as(staker, ...flags, '--journal', join(world.directory, `journal-${nodeId}`)));
}

async function propose(nodeId: string, ...flags: string[]): Promise<string> {
  const proposed = await run('slash', 'propose', ...as(first, '--node', nodeId, '--reason', 'r', ...flags));
  expect(proposed).toMatchObject({ votes: 1, threshold: 2, executed: null });
  return String(proposed.proposalId);
}

test('a stake without consent to the terms, or to others, is refused before anything is sent', async () => {
  const flags = ['--node-id', 'stranger', '--amount', '2', '--journal', join(world.directory, 'journal-x')];
  const missing = await refusal('stake', ...as(staker, ...flags));
  expect(missing).toMatchObject({ code: 'DAAS_TERMS_NOT_ACCEPTED', exitCode: 78 });
  expect(missing.message).toContain(first.address);
  expect(await refusal('stake', ...as(staker, ...flags, '--accept-terms', '0'.repeat(32)))).toMatchObject({
    code: 'DAAS_TERMS_NOT_ACCEPTED',
  });
  expect(await world.balance(staker.address)).toBe(100n * SUI);
});

test('a slash goes from evidence and votes over the answer to execution after the challenge time', async () => {
  await stakeFor('node-1');
  const evidence = join(world.directory, 'evidence.json');
  await writeFile(evidence, '{"seen":"mining"}');
  const hash = createHash('sha256').update('{"seen":"mining"}').digest('hex');
  const proposal = await propose('node-1', '--evidence', evidence, '--amount', '1');

  const answer = 'ab'.repeat(32);
  await run('slash', 'answer', proposal, ...as(staker, '--answer', answer));
  expect(await run('slash', 'vote', proposal, ...as(second, '--dry-run'))).toMatchObject({
    evidence: hash,
    answer,
    executes: false,
  });
  expect(await run('slash', 'vote', proposal, ...as(second))).toMatchObject({ votes: 2, executed: null });
  expect(await refusal('slash', 'execute', proposal, ...as(staker))).toMatchObject({
    code: 'DAAS_CHAIN_ABORT',
    details: { constant: 'EChallengeTime' },
  });
  const watching = run('slash', 'execute', proposal, ...as(staker, '--watch'));
  world.devnet.advanceClock(Number(CHALLENGE_MS));
  expect(await watching).toMatchObject({ executed: { slashedMist: String(SUI), isRecordSlashed: false } });
  expect(await refusal('slash', 'execute', proposal, ...as(staker, '--watch'))).toMatchObject({
    code: 'DAAS_PROPOSAL_CLOSED',
    exitCode: 78,
  });
});

test('a vote that executes waits for the other vote and the challenge time', async () => {
  await stakeFor('node-2');
  const proposal = await propose('node-2');
  const voting = run('slash', 'vote', proposal, ...as(second, '--execute'));
  world.devnet.advanceClock(Number(CHALLENGE_MS));
  expect(await voting).toMatchObject({ votes: 2, executed: { isRecordSlashed: true } });
});

test('votes are taken back, and a proposal is cancelled while no other vote stands', async () => {
  await stakeFor('node-3');
  const proposal = await propose('node-3');
  await run('slash', 'vote', proposal, ...as(second));
  expect(await refusal('slash', 'cancel', proposal, ...as(first))).toMatchObject({
    details: { constant: 'EOtherVotes' },
  });
  await run('slash', 'retract', proposal, ...as(second));
  await run('slash', 'cancel', proposal, ...as(first));
  expect(await refusal('slash', 'vote', proposal, ...as(second, '--execute'))).toMatchObject({
    details: { constant: 'EProposalClosed' },
  });
});

test.each([
  ['--evidence', () => ['slash', 'propose', ...as(first, '--node', 'node-3', '--evidence', '/nowhere')]],
  ['--answer', () => ['slash', 'answer', `0x${'1'.repeat(64)}`, ...as(staker, '--answer', '/nowhere')]],
])('%s that is neither a hash nor a file is refused', async (flag, args) => {
  expect(await refusal(...args())).toMatchObject({
    code: 'DAAS_EVIDENCE_UNREADABLE',
    message: expect.stringContaining(flag),
  });
});

describe('the servers of a cluster', () => {
  test('stand from its creation on, and are replaced or removed one list at a time', async () => {
    const server = 'https://k3s.example:6443';
    expect(await run('cluster', 'show', ...network())).toMatchObject({
      servers: [server],
      caHashes: ['07'.repeat(32)],
      termsVersion: '1',
    });
    await run('cluster', 'set', ...as(first, '--ca-hash', '08'.repeat(32)));
    expect(await run('cluster', 'show', ...network())).toMatchObject({
      servers: [server],
      caHashes: ['08'.repeat(32)],
    });
    await run('cluster', 'set', ...as(first, '--server', 'none', '--ca-hash', 'none'));
    expect(await run('cluster', 'show', ...network())).toMatchObject({ servers: [], caHashes: [] });
  });

  test('are https:// URLs', async () => {
    expect(
      await refusal('cluster', 'set', ...as(first, '--server', 'http://k3s.example:6443')),
    ).toMatchObject({
      code: 'DAAS_SERVER_URL_INVALID',
      exitCode: 78,
    });
  });
});

test('a squatter is put out and the name kept for an address', async () => {
  await stakeFor('wanted');
  const owner = await world.wallet();
  await run('cluster', 'force-unstake', 'wanted', ...as(first));
  await run('cluster', 'reserve', 'wanted', ...as(first, '--for', owner.address));
  const { termsFingerprint } = await run('cluster', 'show', ...network());
  const flags = ['--node-id', 'wanted', '--amount', '2', '--accept-terms', String(termsFingerprint)];
  const journal = join(world.directory, 'journal-wanted');
  expect(await refusal('stake', ...as(staker, ...flags, '--journal', `${journal}-1`))).toMatchObject({
    details: { constant: 'ENodeIdReserved' },
  });
  await run('stake', ...as(owner, ...flags, '--journal', `${journal}-2`));
  expect(await refusal('cluster', 'force-unstake', 'free', ...as(first))).toMatchObject({
    code: 'DAAS_STAKE_UNKNOWN',
  });
});
