import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import { writeDeployment } from '#chain';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { stakeCommand } from '../../src/cli/stake.ts';
import { tokenCommand } from '../../src/cli/token.ts';
import { unstakeCommand } from '../../src/cli/unstake.ts';
import { withdrawCommand } from '../../src/cli/withdraw.ts';
import { SUI } from './chain-world.ts';
import { anotherCluster, holderKey, nextNode, staked, world } from './open-chain.ts';
import { runInProcess } from './run-command.ts';

const DAY_MS = 86_400_000;
const deploymentFile = () => join(world.directory, 'deployment.json');

beforeAll(async () => {
  await writeDeployment(deploymentFile(), world.deployment);
});

const run = (...args: string[]) =>
  runInProcess(
    [stakeCommand, unstakeCommand, withdrawCommand, tokenCommand, clusterCommand],
    [...args, '--endpoint', world.url, '--deployment', deploymentFile()],
  );

type Wallet = Awaited<ReturnType<typeof world.wallet>>;

/** A command that signs, with a journal of the wallet's own. */
async function spend({ address, keyFile }: Wallet, ...args: string[]): Promise<Record<string, unknown>> {
  const journal = join(world.directory, `cli-${address}.json`);
  return JSON.parse(await run(...args, '--key-file', keyFile, '--journal', journal, '--json'));
}

async function refusal(attempt: Promise<unknown>): Promise<DaasError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DaasError) return error;
  throw new Error(`not refused: ${String(error)}`);
}

const fingerprint = async () => (await world.client.cluster()).termsFingerprint;

describe('a stake by commands alone', () => {
  let wallet: Wallet;
  let recordId = '';
  const nodeId = 'by-commands';

  beforeAll(async () => {
    ({ wallet, recordId } = { wallet: await world.wallet(), recordId: '' });
    const key = join(world.directory, 'node.pub');
    await writeFile(key, Buffer.from(holderKey()).toString('hex'));
    const terms = await fingerprint();
    const made = await spend(
      wallet,
      ...`stake --amount 2 --yes --node-id ${nodeId} --accept-terms ${terms} --holder-key-file ${key}`.split(
        ' ',
      ),
    );
    recordId = (made.record as { id: string }).id;
  });

  test('the list says what can be done, and needs no key', async () => {
    const shown = JSON.parse(await run('stake', 'list', '--wallet', wallet.address, '--json'));
    expect(shown.stakes).toMatchObject([
      { record: { id: recordId, nodeId }, next: ['stake top-up', 'token rotate', 'unstake'] },
    ]);
    const text = await run('stake', 'list', '--wallet', wallet.address);
    expect(text).toContain(`node        ${nodeId}`);
    expect(text).toContain('now         stake top-up; token rotate; unstake');
  });

  test('a dry run shows effect and cost, and sends nothing', async () => {
    const before = await world.balance(wallet.address);
    for (const [command, more] of [
      [['unstake'], {}],
      [['token', 'rotate'], { isSameKey: true }],
      [['token', 'revoke'], {}],
      [['stake', 'top-up', '--amount', '1'], { amountMist: SUI.toString() }],
    ] as const) {
      const shown = await spend(wallet, ...command, '--node-id', nodeId, '--dry-run');
      expect(shown).toMatchObject({ dryRun: true, recordId, wallet: wallet.address, ...more });
      expect(shown.gasBudgetMist).toMatch(/^\d+$/);
    }
    expect(await world.balance(wallet.address)).toBe(before);
  });

  test('nothing is sent without --yes and without a terminal', async () => {
    for (const command of [['unstake'], ['token', 'rotate'], ['token', 'revoke']])
      expect(await refusal(spend(wallet, ...command, '--node-id', nodeId))).toMatchObject({
        code: 'DAAS_CONFIRMATION_NEEDED',
      });
    expect((await world.client.records([recordId])).get(recordId)).toMatchObject({ status: 'active' });
  });

  test('a top-up needs the terms, as a stake does', async () => {
    const command = ['stake', 'top-up', '--node-id', nodeId, '--amount', '1', '--yes'];
    expect(await refusal(spend(wallet, ...command))).toMatchObject({ code: 'DAAS_TERMS_NOT_ACCEPTED' });
    const done = await spend(wallet, ...command, '--accept-terms', await fingerprint());
    expect(done).toMatchObject({ recordId, amountMist: SUI.toString(), stakeMist: (3n * SUI).toString() });
    // Told, so the same command asks for more.
    const again = await spend(wallet, ...command, '--accept-terms', await fingerprint());
    expect(again).toMatchObject({ stakeMist: (4n * SUI).toString() });
  });

  test('a rotation renews the token, or binds it to a new key that it makes', async () => {
    const before = JSON.parse(await run('token', 'show', '--node-id', nodeId, '--json'));
    const renewed = await spend(wallet, 'token', 'rotate', '--node-id', nodeId, '--yes');
    expect(renewed).toMatchObject({ token: { holderKey: before.token.holderKey, sequence: '2' } });
    const file = join(world.directory, 'new.key');
    const dry = await spend(
      wallet,
      'token',
      'rotate',
      '--node-id',
      nodeId,
      '--dry-run',
      '--new-key-file',
      file,
    );
    expect(dry).toMatchObject({ isSameKey: false });
    await expect(stat(file)).rejects.toThrow('ENOENT');
    const bound = await spend(
      wallet,
      'token',
      'rotate',
      '--node-id',
      nodeId,
      '--yes',
      '--new-key-file',
      file,
    );
    expect(bound).toMatchObject({ token: { sequence: '3' } });
    expect((bound.token as { holderKey: string }).holderKey).not.toBe(before.token.holderKey);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, 'utf8')).toContain('PRIVATE KEY');
    const conflict = [
      'token',
      'rotate',
      '--node-id',
      nodeId,
      '--new-key-file',
      file,
      '--holder-key-file',
      file,
    ];
    expect(await refusal(spend(wallet, ...conflict))).toMatchObject({ code: 'DAAS_FLAGS_CONFLICT' });
  });

  test('another wallet is refused', async () => {
    const other = await world.wallet();
    for (const command of [['unstake'], ['withdraw'], ['token', 'revoke']])
      expect(await refusal(spend(other, ...command, '--record', recordId, '--yes'))).toMatchObject({
        code: 'DAAS_STAKE_NOT_OURS',
      });
  });

  test('the token is revoked, and the stake stays', async () => {
    expect(await spend(wallet, 'token', 'revoke', '--node-id', nodeId, '--yes')).toMatchObject({ recordId });
    expect(await refusal(spend(wallet, 'token', 'rotate', '--node-id', nodeId, '--yes'))).toMatchObject({
      code: 'DAAS_TOKEN_MISSING',
    });
    const shown = JSON.parse(await run('stake', 'list', '--wallet', wallet.address, '--json'));
    expect(shown.stakes[0].next[0]).toBe('no Seal token: stake --holder-key-file');
  });

  test('the coins are asked for, waited for and taken', async () => {
    expect(await refusal(spend(wallet, 'withdraw', '--node-id', nodeId, '--yes'))).toMatchObject({
      code: 'DAAS_STAKE_NOT_UNBONDING',
    });
    const asked = await spend(wallet, 'unstake', '--node-id', nodeId, '--yes');
    expect(asked).toMatchObject({ recordId, status: 'unbonding' });
    expect(await refusal(spend(wallet, 'unstake', '--node-id', nodeId, '--yes'))).toMatchObject({
      code: 'DAAS_STAKE_NOT_ACTIVE',
    });
    expect(await refusal(spend(wallet, 'withdraw', '--node-id', nodeId, '--yes'))).toMatchObject({
      code: 'DAAS_STAKE_LOCKED',
    });
    world.devnet.advanceClock(7 * DAY_MS);
    const text = await run('stake', 'list', '--wallet', wallet.address);
    expect(text).toMatch(/now +withdraw$/m);
    const before = await world.balance(wallet.address);
    const done = await spend(wallet, 'withdraw', '--node-id', nodeId, '--yes');
    expect(done).toMatchObject({ recordId, amountMist: (4n * SUI).toString(), wallet: wallet.address });
    expect(await world.balance(wallet.address)).toBeGreaterThan(before + 3n * SUI);
    expect(await refusal(spend(wallet, 'withdraw', '--record', recordId, '--yes'))).toMatchObject({
      code: 'DAAS_STAKE_EMPTY',
    });
    expect(await run('stake', 'list', '--wallet', wallet.address)).toContain('1 are over');
  });
});

test('the stakes of all clusters are listed, and one of another cluster is ended by its record', async () => {
  const { wallet, recordId } = await staked();
  const elsewhere = await anotherCluster();
  const chain = await world.stakeChain(wallet, { client: elsewhere });
  const { objectId } = await chain.stakeForNode({ nodeId: nextNode(), stakeMist: 2n * SUI });
  const shown = JSON.parse(await run('stake', 'list', '--wallet', wallet.address, '--json'));
  expect(shown.stakes.map(({ record }: { record: { id: string } }) => record.id)).toEqual([
    recordId,
    objectId,
  ]);
  expect(await spend(wallet, 'unstake', '--record', objectId, '--yes')).toMatchObject({
    status: 'unbonding',
  });
  expect((await elsewhere.records([objectId])).get(objectId)).toMatchObject({ status: 'unbonding' });
});

test('a stake that the admin has forced out is shown as what it is', async () => {
  const { wallet, recordId, nodeId } = await staked();
  const { keyFile } = world.operator;
  const forced = await run('cluster', 'force-unstake', nodeId, '--yes', '--key-file', keyFile, '--json');
  expect(JSON.parse(forced)).toMatchObject({ recordId });
  expect(await refusal(spend(wallet, 'unstake', '--node-id', nodeId, '--yes'))).toMatchObject({
    code: 'DAAS_STAKE_NOT_ACTIVE',
    message: expect.stringContaining('is unbonding: its 2 SUI comes out from'),
  });
});
