import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLog } from '#base';
import { DEFAULT_GAS_BUDGETS } from '#chain';
import { openNodeKey } from '#seal';
import { previewStake } from '../../src/cli/agent-rehearsal.ts';
import { makePoolKey, readPoolFile, writePoolFile } from '../../src/cli/pool-file.ts';
import { outcomeOf } from '../world/outcome.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

type TestWallet = Awaited<ReturnType<ChainWorld['wallet']>>;

let world: ChainWorld;
let serial = 0;
beforeAll(async () => {
  world = await startChainWorld({ minimumStakeMist: SUI });
});
afterAll(() => world?.[Symbol.asyncDispose]());

const next = () => {
  serial += 1;
  return serial;
};
const nextNode = () => `dry-${next()}`;

interface Question {
  readonly nodeId?: string;
  readonly stateDir?: string;
  readonly poolFile?: string;
  readonly stakeMist?: bigint | undefined;
  readonly minimumMist?: bigint;
}

async function verdict(wallet: TestWallet, question: Question = {}): ReturnType<typeof previewStake> {
  const {
    nodeId = nextNode(),
    stateDir = join(world.directory, `state-${next()}`),
    poolFile,
    ...amounts
  } = question;
  return previewStake({
    poolFile,
    chain: world.client,
    wallet,
    nodeId,
    stateDir,
    plugins: [
      { use: 'staking', config: { stakeMist: SUI, acceptTerms: 'any', ...amounts } },
      { use: 'registration' },
    ],
    pluginDirectory: world.directory,
    gasBudgets: DEFAULT_GAS_BUDGETS,
    stakeAgain: false,
    log: silentLog,
  });
}

describe('a dry run judges as the start does', () => {
  test('what can be staked', async () => {
    const { plan, stop } = await verdict(await world.wallet(3n));
    expect(plan).toMatch(/^would stake 1 SUI .*gas at most .* and mint a Seal token$/);
    expect(stop).toBeUndefined();
  });

  test.each([
    ['more than the wallet has', { stakeMist: 5n * SUI }, 'DAAS_BALANCE_TOO_LOW', 78],
    ['less than the cluster wants', { stakeMist: SUI - 1n }, 'DAAS_STAKE_TOO_LOW', 78],
    ['no amount', { stakeMist: undefined }, 'DAAS_STAKE_AMOUNT_MISSING', 78],
  ] as const)('%s', async (_what, options, code, exitCode) => {
    const { plan, stop } = await verdict(await world.wallet(3n), options);
    expect(stop).toMatchObject({ code, exitCode });
    expect(plan).toContain('it would stop here');
  });

  test('a stake that stands: whose it is, its minimum, its token, and the gas for one', async () => {
    const owner = await world.wallet(3n);
    const nodeId = nextNode();
    const stateDir = join(world.directory, `state-${nodeId}`);
    await mkdir(stateDir, { mode: 0o700 });
    const { publicKey } = await openNodeKey(join(stateDir, 'node.key'));
    const chain = await world.stakeChain(owner);
    const { objectId: recordId } = await chain.stakeForNode({ nodeId, stakeMist: SUI });
    expect((await verdict(owner, { nodeId, stateDir })).plan).toContain('would mint its Seal token');
    expect((await verdict(await world.wallet(3n), { nodeId })).stop).toMatchObject({
      code: 'DAAS_NODE_ID_TAKEN',
    });
    const wanting = { nodeId, stakeMist: 2n * SUI, minimumMist: 2n * SUI };
    expect((await verdict(owner, wanting)).stop).toMatchObject({
      code: 'DAAS_STAKE_TOO_LOW',
    });

    await chain.createWorkerSealToken({ recordId, holderKey: publicKey });
    const fine = await verdict(owner, { nodeId, stateDir });
    expect([fine.stop, fine.plan]).toEqual([undefined, expect.stringContaining('and token 0x')]);
    expect((await verdict(owner, { nodeId })).stop).toMatchObject({ code: 'DAAS_HOLDER_KEY_MISMATCH' });
    const { longestTokenLifeEpochs } = (await world.client.cluster()).parameters;
    for (let epoch = 0n; epoch < longestTokenLifeEpochs; epoch += 1n) world.devnet.advanceEpoch();
    const expired = await verdict(owner, { nodeId, stateDir });
    expect([expired.stop, expired.plan]).toEqual([undefined, expect.stringContaining('would rotate it')]);
  });
});

test('the key of a pool file is judged before the file is used', async () => {
  const owner = await world.wallet(3n);
  const nodeId = nextNode();
  const poolFile = join(world.directory, `${nodeId}.pool.json`);
  const key = makePoolKey();
  await writePoolFile(poolFile, { nodeId, clusterId: '0x1', staker: owner.address, ...key });
  const chain = await world.stakeChain(owner);
  const publicKey = Uint8Array.from(Buffer.from(key.holderKey, 'hex'));
  await chain.join({ nodeId, stakeMist: SUI, holderKey: publicKey });
  const { plan, stop } = await verdict(owner, { nodeId, poolFile });
  expect([stop, plan]).toEqual([undefined, expect.stringContaining('and token 0x')]);
  expect(await readPoolFile(poolFile)).toBeDefined();
});

describe('the command', () => {
  async function dryRun(content: object): Promise<{ exitCode: number | null; output: string }> {
    const file = join(world.directory, `worker-${next()}.json`);
    const deployment = join(world.directory, 'deployment.json');
    await writeFile(deployment, JSON.stringify(world.deployment));
    const { keyFile } = await world.wallet(3n);
    const base = {
      nodeId: nextNode(),
      stateDir: join(world.directory, 'host'),
      chain: { endpoints: [world.url], deployment },
      wallet: { keyFile },
      agent: { binary: join(import.meta.dirname, '..', 'standin', 'agent', 'k3s') },
    };
    await writeFile(file, JSON.stringify({ ...base, ...content }), { mode: 0o600 });
    const entry = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
    const args = ['--conditions=source', entry, 'agent', '--config', file, '--dry-run', '--json'];
    return outcomeOf(
      spawn(process.execPath, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH },
      }),
    );
  }

  test('ends with the exit code of the start', async () => {
    const poor = await dryRun({ stake: { amountMist: '5000000000', acceptTerms: 'any' } });
    expect(poor.output).toContain('"stop":"DAAS_BALANCE_TOO_LOW"');
    expect(poor.exitCode).toBe(78);
    const rich = await dryRun({ stake: { amountMist: '1000000000', acceptTerms: 'any' } });
    expect([rich.exitCode, rich.output]).toEqual([0, expect.stringContaining('"stop":null')]);
  });

  test('refuses an amount above a u64, and a plugin’s configuration that a start would refuse', async () => {
    const large = await dryRun({ stake: { amountMist: '18446744073709551616', acceptTerms: 'any' } });
    expect([large.exitCode, large.output]).toEqual([78, expect.stringContaining('18446744073709551615')]);
    const plugin = await dryRun({ plugins: [{ use: 'staking', config: { stakeMist: -1 } }] });
    expect(plugin.exitCode).toBe(78);
  });
});
