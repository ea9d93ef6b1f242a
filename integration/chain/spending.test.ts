import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import { DEFAULT_GAS_BUDGETS, operations, previewStake } from '#chain';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { createIo } from '../../src/cli/io.ts';
import { stakeCommand } from '../../src/cli/stake.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

const CENT = 10_000_000n;
let world: ChainWorld;
let serial = 0;
beforeAll(async () => {
  world = await startChainWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

const next = () => {
  serial += 1;
  return serial;
};
const nextNode = () => `spender-${next()}`;

/** Runs a command of the program; what it prints, and what it warns of. */
async function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  const into = (name: keyof typeof written) =>
    new Writable({
      write: (chunk, _encoding, done) => {
        written[name] += chunk;
        done();
      },
    });
  const io = createIo({ json: args.includes('--json'), stdout: into('stdout'), stderr: into('stderr') });
  const program = new Command().exitOverride();
  for (const command of [clusterCommand, stakeCommand]) program.addCommand(command(io));
  await program.parseAsync(args, { from: 'user' });
  return written;
}

async function refusal(...args: string[]): Promise<DaasError> {
  const error = await run(...args).catch((caught: unknown) => caught);
  if (error instanceof DaasError) return error;
  throw new Error(`${args.join(' ')} was not refused: ${JSON.stringify(error)}`);
}

async function deploymentFile(): Promise<string> {
  const file = join(world.directory, 'deployment.json');
  await writeFile(file, JSON.stringify(world.deployment));
  return file;
}

describe('a wallet of many small coins', () => {
  test('stakes what they are worth together, in one transaction', async () => {
    const wallet = await world.wallet(0n);
    for (let coin = 0; coin < 300; coin += 1) await world.devnet.faucet(wallet.address, CENT);
    const chain = await world.stakeChain(wallet);
    const { objectId } = await chain.stakeForNode({ nodeId: nextNode(), stakeMist: 290n * CENT });
    expect((await world.client.records([objectId])).get(objectId)?.stakeMist).toBe(290n * CENT);
    const { coinsMist } = await world.client.balance(wallet.address);
    expect(coinsMist).toBeGreaterThan(5n * CENT);
  });

  test('is told what is missing of all of them', async () => {
    const wallet = await world.wallet(0n);
    for (let coin = 0; coin < 300; coin += 1) await world.devnet.faucet(wallet.address, CENT);
    const actor = { client: world.client, wallet };
    await expect(previewStake(actor, { nodeId: nextNode(), stakeMist: 5n * SUI })).rejects.toMatchObject({
      code: 'DAAS_BALANCE_TOO_LOW',
      message: expect.stringContaining('has 3 SUI in coins'),
    });
  });
});

describe('a cluster object that has grown', () => {
  beforeAll(async () => {
    for (let index = 0; index < 32; index += 1)
      await operations.addGateway.execute(world.actor, {
        url: `https://${'g'.repeat(240)}${index}`,
        tlsPins: [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)],
        attestationKind: 'a'.repeat(32),
        measurement: new Uint8Array(128).fill(index),
        signingKey: new Uint8Array(32).fill(index),
        tier: 'basic',
      });
  });

  test('does not raise what a call may cost at most', async () => {
    const { cost, budgetMist } = await operations.setGatewayStatus.plan(world.actor, {
      gatewayId: (await world.client.cluster()).gateways[0]?.id ?? '',
      status: 'draining',
    });
    expect(cost.storageMist).toBeGreaterThan(100_000_000n);
    expect(budgetMist).toBeLessThan(10_000_000n);
  });

  test('leaves a wallet with the stake and 0.05 SUI able to stake and mint', async () => {
    const wallet = await world.wallet(0n);
    await world.devnet.faucet(wallet.address, SUI + DEFAULT_GAS_BUDGETS.stakeMist);
    const file = await deploymentFile();
    const holder = join(world.directory, 'holder');
    await writeFile(holder, '07'.repeat(32));
    const { stdout } = await run(
      'stake',
      '--endpoint',
      world.url,
      '--deployment',
      file,
      '--key-file',
      wallet.keyFile,
      '--accept-terms',
      'any',
      '--node-id',
      nextNode(),
      '--amount',
      '1',
      '--holder-key-file',
      holder,
      '--yes',
      '--accept-terms',
      'any',
      '--json',
      '--journal',
      join(world.directory, 'grown-journal.json'),
    );
    expect(JSON.parse(stdout)).toMatchObject({
      record: { status: 'active', stakeMist: SUI.toString() },
      token: { isExpired: false },
    });
  });
});

test('a gas price above the reference price is what is offered and paid', async () => {
  const gatewayId = (await world.client.cluster()).gateways[1]?.id ?? '';
  const change = { gatewayId, status: 'draining' } as const;
  const usual = await operations.setGatewayStatus.plan(world.actor, change);
  const urgent = await operations.setGatewayStatus.plan({ ...world.actor, gasPriceMist: 5_000n }, change);
  expect(urgent.cost.computationMist).toBe(usual.cost.computationMist * 5n);
  await urgent.execute();
  await expect(
    operations.setGatewayStatus.plan({ ...world.actor, gasPriceMist: 999n }, change),
  ).rejects.toMatchObject({
    code: 'DAAS_GAS_PRICE_TOO_LOW',
  });
});

describe('on a public network', () => {
  /** The dev chain under an address that is not loopback's. */
  const publicUrl = () => world.url.replace('127.0.0.1', '0.0.0.0');
  const create = (...flags: string[]) => [
    'cluster',
    'create',
    '--endpoint',
    publicUrl(),
    '--allow-insecure',
    '--key-file',
    keyFile,
    '--package',
    world.deployment.packageId,
    '--deployment',
    join(world.directory, 'public.json'),
    '--yes',
    '--dry-run',
    '--json',
    ...flags,
  ];
  let keyFile = '';
  let address = '';
  const other = `0x${'5'.repeat(64)}`;
  const third = `0x${'6'.repeat(64)}`;
  beforeAll(async () => {
    ({ keyFile, address } = await world.wallet());
  });

  test('create makes the admin neither slasher nor treasury unless it is said', async () => {
    expect(await refusal(...create())).toMatchObject({
      code: 'DAAS_CLUSTER_ROLES_MISSING',
      exitCode: 78,
      details: { missing: ['--slasher', '--threshold', '--treasury'] },
      message: expect.stringContaining('--single-operator'),
    });
    expect(await refusal(...create('--slasher', other, '--threshold', '1'))).toMatchObject({
      details: { missing: ['--treasury'] },
    });
  });

  test('create takes roles that are named, and the single operator by that name', async () => {
    const named = [
      '--slasher',
      other,
      '--slasher',
      third,
      '--threshold',
      '2',
      '--treasury',
      `0x${'7'.repeat(64)}`,
      '--challenge',
      '1h',
    ];
    const { stdout, stderr } = await run(...create(...named));
    expect(JSON.parse(stdout)).toMatchObject({
      parameters: { slashers: [other, third], slashThreshold: '2' },
    });
    expect(stderr).toBe('');
    const single = await run(...create('--single-operator'));
    expect(single.stderr).toMatch(/pass --threshold 2 or more.*pass --challenge/s);
    expect(JSON.parse(single.stdout)).toMatchObject({
      parameters: { slashers: [address], slashThreshold: '1', treasury: address },
    });
    expect(await refusal(...create('--single-operator', '--slasher', other))).toMatchObject({
      code: 'DAAS_FLAGS_CONFLICT',
    });
  });

  test('create warns of roles that stakers would not trust', async () => {
    const { stderr } = await run(...create('--slasher', address, '--threshold', '1', '--treasury', address));
    expect(stderr).toMatch(/threshold of 1.*admin is a slasher.*treasury is a slasher/s);
  });

  test('on a chain of one’s own the defaults stay', async () => {
    const args = create().map((word) => (word === publicUrl() ? world.url : word));
    expect(JSON.parse((await run(...args)).stdout)).toMatchObject({ parameters: { slashers: [address] } });
  });
});

test('the removal of a slasher that leaves fewer than the threshold warns', async () => {
  const flags = ['--endpoint', world.url, '--deployment', await deploymentFile(), '--dry-run'];
  const { stderr } = await run(
    'cluster',
    'set',
    ...flags,
    '--key-file',
    (world.operator as unknown as { keyFile: string }).keyFile,
    '--remove-slasher',
    world.operator.address,
  );
  expect(stderr).toContain('leaves 0 slashers, and a slash needs 1 votes');
});

describe('stake', () => {
  const stake = async (...flags: string[]) => [
    'stake',
    '--endpoint',
    world.url,
    '--deployment',
    await deploymentFile(),
    ...flags,
    '--journal',
    join(world.directory, `journal-${next()}.json`),
  ];

  test('shows unbonding time, slashers, treasury and a pending change before it asks', async () => {
    const { state, nowMs } = await world.client.clusterState();
    const treasury = `0x${'9'.repeat(64)}`;
    const plan = await operations.scheduleParameters.plan(world.actor, {
      ...state.parameters,
      unbondingMs: 86_400_000n,
      proposalLifeMs: 3_600_000n,
      treasury,
    });
    await plan.execute();
    expect(nowMs).toBeGreaterThan(0);
    const { keyFile } = await world.wallet();
    const args = await stake('--key-file', keyFile, '--node-id', nextNode(), '--dry-run');
    const { stdout } = await run(...args);
    expect(stdout).toMatch(/unbonding +the coins come back 7d after/);
    expect(stdout).toContain('1 of 1 slashers');
    expect(stdout).toContain(`${world.operator.address} (the admin)`);
    expect(stdout).toMatch(/pending +from 20/);
    expect(stdout).toMatch(/unbonding time +1d \(now 7d\)/);
    // It has not accepted: what it would get it does not get.
    expect(stdout).not.toContain(treasury);
    const { stdout: json } = await run(...args, '--json');
    expect(JSON.parse(json)).toMatchObject({
      terms: { unbondingMs: '604800000', slashThreshold: '1' },
      pending: { treasuryAccepted: false },
    });
  });

  test('says of an expired token that it is expired, not that it expires with this epoch', async () => {
    const { keyFile } = await world.wallet();
    const nodeId = nextNode();
    const holder = join(world.directory, 'expiring');
    await writeFile(holder, '08'.repeat(32));
    const made = await stake(
      '--key-file',
      keyFile,
      '--node-id',
      nodeId,
      '--holder-key-file',
      holder,
      '--yes',
      '--accept-terms',
      'any',
    );
    expect((await run(...made)).stdout).toMatch(/token life +valid until epoch \d+ begins \(now epoch \d+\)/);
    const { longestTokenLifeEpochs } = (await world.client.cluster()).parameters;
    for (let epoch = 0n; epoch < longestTokenLifeEpochs; epoch += 1n) world.devnet.advanceEpoch();
    const shown = await stake('--key-file', keyFile, '--node-id', nodeId, '--dry-run');
    expect((await run(...shown)).stdout).toMatch(
      /token life +expired when epoch \d+ began \(now epoch \d+\)/,
    );
    expect(JSON.parse((await run(...shown, '--json')).stdout)).toMatchObject({ token: { isExpired: true } });
  });
});

test('publishing is paid by many small coins, whose rebates are not counted on', async () => {
  const wallet = await world.wallet(0n);
  for (let coin = 0; coin < 60; coin += 1) await world.devnet.faucet(wallet.address, CENT);
  const { packageId } = await operations.publish.execute(
    { ...world.publisher, wallet },
    { build: world.build },
  );
  expect(packageId).toMatch(/^0x/);
});

test('a wallet that has the stake and no gas is told so, not that a transaction failed', async () => {
  const wallet = await world.wallet(0n);
  await world.devnet.faucet(wallet.address, SUI + 1_500_000n);
  await expect(
    previewStake({ client: world.client, wallet }, { nodeId: nextNode(), stakeMist: SUI }),
  ).rejects.toMatchObject({
    code: 'DAAS_BALANCE_TOO_LOW',
    message: expect.stringContaining('1 SUI of it are spent and 0.0015 SUI do not pay the gas'),
  });
});
