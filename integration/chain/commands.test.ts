import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDevnet } from '@k3s-daas/devnet';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DaasError, Lifetime } from '#base';
import { readContractBuild } from '#chain';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { contractsCommand } from '../../src/cli/contracts.ts';
import { slashCommand } from '../../src/cli/slash.ts';
import { stakeCommand } from '../../src/cli/stake.ts';
import { runCommand, runInProcess } from './run-command.ts';

const SUI = 1_000_000_000n;
const life = new Lifetime();
let directory = '';
let devnet: Awaited<ReturnType<typeof startDevnet>>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'commands-'));
  life.defer('directory', () => rm(directory, { recursive: true, force: true }));
  const { modules } = await readContractBuild();
  devnet = await startDevnet({ modules });
  life.defer('devnet', () => devnet.close());
});
afterAll(() => life.close());

const run = (...args: string[]) => runCommand(directory, ...args);

/** A command on the journal and the deployment of this directory. */
function inProcess(...args: string[]): Promise<string> {
  const own = args[0] === 'stake' ? ['--journal', join(directory, 'stake-journal.json')] : [];
  const deployment = args.includes('--deployment') ? [] : ['--deployment', deploymentFile()];
  return runInProcess(
    [contractsCommand, clusterCommand, slashCommand, stakeCommand],
    [...args, ...deployment, ...own],
  );
}

/** The one JSON object a command printed. */
async function json(...args: string[]): Promise<Record<string, unknown>> {
  const stdout = await inProcess(...args, '--json');
  expect(stdout.trim().split('\n')).toHaveLength(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function refusal(...args: string[]): Promise<DaasError> {
  try {
    await inProcess(...args, '--json');
  } catch (error) {
    if (error instanceof DaasError) return error;
    throw error;
  }
  throw new Error(`${args.join(' ')} was not refused`);
}

async function keyFile(name: string, sui = 50n): Promise<{ file: string; address: string }> {
  const keypair = new Ed25519Keypair();
  const file = join(directory, `${name}.key`);
  await writeFile(file, keypair.getSecretKey(), { mode: 0o600 });
  if (sui > 0n) await devnet.faucet(keypair.toSuiAddress(), sui * SUI);
  return { file, address: keypair.toSuiAddress() };
}

const network = () => ['--endpoint', devnet.url];
const deploymentFile = () => join(directory, 'deployment.json');

describe('a cluster from nothing, by commands alone', () => {
  let admin: { file: string; address: string };
  const as = (key: { file: string }, ...rest: string[]) => [...network(), '--key-file', key.file, ...rest];

  beforeAll(async () => {
    admin = await keyFile('admin');
  });

  test('a dry run of publish shows cost and writes nothing', async () => {
    const { exitCode, stdout } = await run('contracts', 'publish', ...as(admin), '--dry-run', '--json');
    expect(exitCode).toBe(0);
    const shown = JSON.parse(stdout) as Record<string, unknown>;
    expect(shown).toMatchObject({ dryRun: true, wallet: admin.address, upgradable: false });
    expect(BigInt(shown.gasMist as string)).toBeGreaterThan(0n);
    await expect(readFile(deploymentFile())).rejects.toThrow('ENOENT');
  });

  test('without --yes and without a terminal nothing is sent', async () => {
    const { exitCode, stdout, stderr } = await run('contracts', 'publish', ...as(admin), '--json');
    expect({ exitCode, stdout }).toEqual({ exitCode: 78, stdout: '' });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'DAAS_CONFIRMATION_NEEDED' } });
  });

  test('publish tells its progress, and the file it writes is what cluster create reads', async () => {
    const { exitCode, stdout, stderr } = await run('contracts', 'publish', ...as(admin, '--yes'));
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain('the bytecode on chain is the build');
    expect(stderr).toContain('immutable: it cannot be changed');
    expect(stdout).toContain('k3s-daas cluster create');
    const created = await json('cluster', 'create', ...as(admin, '--yes'));
    expect(JSON.parse(await readFile(deploymentFile(), 'utf8'))).toEqual({
      chainId: created.chainId,
      packageId: created.packageId,
      clusterId: created.clusterId,
      trust: created.trust,
    });
    expect(created).toMatchObject({
      trust: { committee: expect.any(String) },
      fingerprint: expect.stringMatching(/^0 ([0-9a-f]{4}-){7}[0-9a-f]{4}$/),
    });
    expect(await refusal('contracts', 'publish', ...as(admin, '--yes'))).toMatchObject({
      code: 'DAAS_DEPLOYMENT_EXISTS',
    });
    expect(await refusal('cluster', 'create', ...as(admin, '--yes'))).toMatchObject({
      code: 'DAAS_DEPLOYMENT_EXISTS',
    });
  });

  test('gateways are added, shown and drained', async () => {
    const added = await json(
      'cluster',
      'gateway',
      'add',
      ...as(admin, '--yes', '--url', 'https://gw.example:8443', '--signing-key', 'ab'.repeat(32)),
      '--tls-pin',
      'cd'.repeat(32),
    );
    await json('cluster', 'gateway', 'status', added.gatewayId as string, 'draining', ...as(admin, '--yes'));
    const shown = await json('cluster', 'show', ...network());
    expect(shown).toMatchObject({
      admin: admin.address,
      gateways: [
        {
          id: added.gatewayId,
          url: 'https://gw.example:8443',
          status: 'draining',
          tlsPins: ['cd'.repeat(32)],
        },
      ],
    });
    const { stdout } = await run('cluster', 'show', ...network());
    expect(stdout).toContain('Parameters in force');
    expect(stdout).toContain('https://gw.example:8443');
  });

  test('a worker stakes, gets its token, is slashed, and everything can be seen', async () => {
    const worker = await keyFile('worker');
    const { publicKey } = generateKeyPairSync('ed25519');
    const holder = join(directory, 'node-key.pem');
    await writeFile(holder, publicKey.export({ type: 'spki', format: 'pem' }));
    const stake = [
      'stake',
      ...as(worker, '--yes', '--accept-terms', 'any', '--node-id', 'worker-1', '--amount', '2'),
    ];
    const made = await json(...stake, '--holder-key-file', holder);
    expect(made).toMatchObject({
      record: { nodeId: 'worker-1', status: 'active', stakeMist: '2000000000' },
      token: {
        holderKey: Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex'),
      },
    });
    const again = await json(...stake, '--holder-key-file', holder);
    expect(again).toMatchObject({ stakeDigest: made.stakeDigest, mintDigest: made.mintDigest });

    const propose = ['slash', 'propose', ...as(admin, '--node', 'worker-1', '--reason', 'ran away')];
    expect(await json(...propose, '--dry-run')).toMatchObject({ amountMist: '2000000000' });
    const slashed = await json(...propose, '--yes');
    expect(slashed).toMatchObject({
      votes: 1,
      threshold: 1,
      executed: { slashedMist: '2000000000', isRecordSlashed: true },
    });
    expect(await refusal(...propose, '--yes')).toMatchObject({ code: 'DAAS_STAKE_UNKNOWN' });

    const config = join(directory, 'worker.json');
    await writeFile(
      config,
      JSON.stringify({
        nodeId: 'worker-1',
        stateDir: join(directory, 'host'),
        chain: { endpoints: [devnet.url], deployment: 'deployment.json' },
        wallet: { keyFile: worker.file },
        stake: { amountMist: '2000000000', acceptTerms: 'any' },
        agent: { binary: join(import.meta.dirname, '..', 'standin', 'agent', 'k3s') },
      }),
    );
    const rehearse = async (...flags: string[]) => {
      const { stdout } = await run('agent', '--config', config, '--dry-run', '--json', ...flags);
      return (JSON.parse(stdout) as { plan: string }).plan;
    };
    expect(await rehearse()).toContain('is slashed: another one is made only when asked for');
    expect(await rehearse('--stake-again')).toContain('would stake 2 SUI');
  });

  test('new parameters are announced with their hour', async () => {
    const announced = await json('cluster', 'set', ...as(admin, '--yes', '--minimum-stake', '3'));
    expect(announced).toMatchObject({
      isTreasuryAccepted: true,
      parameters: { minimumStakeMist: '3000000000' },
    });
    expect(await inProcess('cluster', 'show', ...network())).toContain('Pending, in force from');
  });

  describe('bad input is a sentence with the fix and exit code 78', () => {
    const set = (...flags: string[]) => ['cluster', 'set', ...as(admin, '--dry-run', ...flags)];

    test.each<[string, () => string[], string]>([
      ['EMinimumBelowWorkerTier', () => set('--minimum-stake', '999mist'), 'raise --minimum-stake'],
      ['EMinimumStakeOutOfBounds', () => set('--minimum-stake', '1000000001'), 'lower --minimum-stake'],
      ['EMinimumTopUpOutOfBounds', () => set('--minimum-top-up', '0'), '--minimum-top-up'],
      ['ETierOrder', () => set('--tiers', '100mist,100mist,200mist'), 'rise strictly'],
      ['ETierPermissions', () => set('--tier-permissions', 'pods;nodes:write;*:*'), 'resource:verb'],
      ['ENoWorkerTier', () => set('--tier-permissions', 'pods:read;pods:write;*:*'), 'nodes:write'],
      ['EUnbondingOutOfBounds', () => set('--unbonding', '59s'), 'between 1 minute and 365 days'],
      ['EProposalLifeOutOfBounds', () => set('--proposal-life', '2d'), 'a quarter of --unbonding'],
      ['ETokenLifeOutOfBounds', () => set('--token-epochs', '0'), 'between 1 and 1000'],
      ['EThresholdOutOfBounds', () => set('--threshold', '2'), '--threshold'],
      ['EZeroTreasury', () => set('--treasury', '0x0'), '--treasury'],
      ['EThresholdNotRaised', () => set('--raise-threshold', '1'), 'above the one in force'],
      ['ENotASlasher', () => set('--remove-slasher', '0x5'), 'look up the slashers'],
      ['ENotOfferedAdmin', () => set('--accept-admin'), 'sign with the key'],
      ['ENoTreasuryToAccept', () => set('--accept-treasury'), 'new treasury'],
      [
        'ESigningKey',
        () => [
          'cluster',
          'gateway',
          'add',
          ...as(admin, '--dry-run', '--url', 'https://a', '--signing-key', 'ab'),
        ],
        '64 hexadecimal digits',
      ],
      [
        'ENoSuchGateway',
        () => ['cluster', 'gateway', 'status', '0x5', 'live', ...as(admin, '--dry-run')],
        'cluster show',
      ],
    ])('%s', async (constant, args, fix) => {
      const error = await refusal(...args());
      expect(error).toMatchObject({ code: 'DAAS_CHAIN_ABORT', exitCode: 78, details: { constant } });
      expect(error.message).toContain(fix);
    });

    test.each<[string, () => string[], string]>([
      ['DAAS_AMOUNT_INVALID', () => set('--minimum-stake', 'much'), 'write SUI'],
      ['DAAS_DURATION_INVALID', () => set('--unbonding', '7'), 'such as 90s'],
      ['DAAS_ADDRESS_INVALID', () => set('--treasury', 'me'), '0x'],
      ['DAAS_TIERS_INVALID', () => set('--tiers', '1,2'), 'three'],
      ['DAAS_FLAGS_CONFLICT', () => set('--accept-admin', '--accept-treasury'), 'one of'],
      [
        'DAAS_FLAGS_CONFLICT',
        () => set('--raise-threshold', '2', '--unbonding', '7d'),
        '--unbonding would be',
      ],
      [
        'DAAS_ENDPOINT_INVALID',
        () => ['cluster', 'show', '--endpoint', 'fullnode.example'],
        'https://fullnode.testnet.sui.io:443',
      ],
      ['DAAS_FLAG_MISSING', () => ['stake', ...network(), '--node-id', 'a'], '--key-file'],
      [
        'DAAS_PROPOSAL_UNKNOWN',
        () => ['slash', 'vote', `0x${'7'.repeat(64)}`, ...as(admin, '--dry-run')],
        'check the id',
      ],
      [
        'DAAS_NODE_ID_INVALID',
        () => ['stake', ...as(admin, '--dry-run', '--node-id', 'Worker.1')],
        'a-z, 0-9 and hyphen',
      ],
    ])('%s', async (code, args, fix) => {
      const error = await refusal(...args());
      expect(error).toMatchObject({ code, exitCode: 78 });
      expect(error.message).toContain(fix);
    });

    test('another chain than the deployment names', async () => {
      const wrong = join(directory, 'wrong.json');
      const right = JSON.parse(await readFile(deploymentFile(), 'utf8')) as Record<string, string>;
      await writeFile(
        wrong,
        JSON.stringify({ ...right, chainId: '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S' }),
      );
      expect(await refusal('cluster', 'show', ...network(), '--deployment', wrong)).toMatchObject({
        code: 'DAAS_CHAIN_ID_MISMATCH',
        exitCode: 78,
      });
    });

    test('an empty wallet is told what it needs', async () => {
      const empty = await keyFile('empty', 0n);
      expect(
        await refusal('stake', ...network(), '--key-file', empty.file, '--dry-run', '--node-id', 'poor'),
      ).toMatchObject({ code: 'DAAS_BALANCE_TOO_LOW', exitCode: 78 });
    });

    test('a key is never repeated, not even a broken one', async () => {
      const broken = join(directory, 'broken.key');
      await writeFile(broken, 'suiprivkey1notakeyatall', { mode: 0o600 });
      const { stdout, stderr } = await run('cluster', 'set', ...network(), '--key-file', broken);
      expect(stdout + stderr).toContain('DAAS_WALLET_KEY_INVALID');
      expect(stdout + stderr).not.toContain('notakeyatall');
    });
  });
});
