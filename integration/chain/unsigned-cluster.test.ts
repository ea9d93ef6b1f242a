import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type ChainClient, isClusterAct, operations, writeDeployment } from '#chain';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { slashCommand } from '../../src/cli/slash.ts';
import { stakeCommand } from '../../src/cli/stake.ts';
import { tokenCommand } from '../../src/cli/token.ts';
import { transactionCommand } from '../../src/cli/transaction.ts';
import { SUI } from './chain-world.ts';
import { anotherCluster, nextNode, world } from './open-chain.ts';
import { runInProcess } from './run-command.ts';
import { type Account, account, multisig, refusal, signing } from './sign-elsewhere.ts';

/** Commands of a cluster, of slashers and of people, signed by wallets whose keys no command sees. */

const DAY_MS = 86_400_000;
let client: ChainClient;
let admin: Account;
let slashers: readonly Account[];
const deploymentFile = () => join(world.directory, 'elsewhere.json');
let files = 0;
const nextFile = () => {
  files += 1;
  return join(world.directory, `cluster-transaction-${files}.json`);
};

/** A cluster whose admin is a multisig, with two slashers. */
beforeAll(async () => {
  admin = await multisig();
  slashers = [await account(), await account()];
  client = await anotherCluster({
    slashers: slashers.map(({ address }) => address),
    slashThreshold: 2n,
  });
  await writeDeployment(deploymentFile(), client.deployment);
  await operations.changeCluster.execute(
    { client, wallet: world.operator },
    { kind: 'offer-admin', admin: admin.address },
  );
  await signedElsewhere([admin], 'cluster', 'set', '--accept-admin');
});

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const commands = [clusterCommand, slashCommand, stakeCommand, tokenCommand, transactionCommand];
  const network = args.includes('show') && args[0] === 'transaction' ? [] : networkArgs();
  return JSON.parse(await runInProcess(commands, [...args, ...network, '--json']));
}
const networkArgs = () => ['--endpoint', world.url, '--deployment', deploymentFile()];
const { send, signedElsewhere } = signing({ json, nextFile });
const state = async () => (await client.clusterState()).state;

describe('a multisig as admin', () => {
  test('took the role over by a file, and offers it on', async () => {
    expect((await state()).admin).toBe(admin.address);
    const next = await account(0n);
    const offered = await signedElsewhere([admin], 'cluster', 'set', '--offer-admin', next.address);
    expect(offered).toMatchObject({ kind: 'offer-admin', admin: next.address });
    expect((await state()).offeredAdmin?.to).toBe(next.address);
  });

  test('announces parameters, which the file shows in words', async () => {
    const file = nextFile();
    const words = ['cluster', 'set', '--minimum-stake', '3', '--sender', admin.address];
    await json(...words, '--unsigned', file);
    const shown = await runInProcess([transactionCommand], ['transaction', 'show', file]);
    expect(shown).toMatch(/minimum worker stake +3 SUI/);
    const sent = await send(file, [admin]);
    expect(sent).toMatchObject({ kind: 'schedule-parameters', minimumStakeMist: (3n * SUI).toString() });
    expect((await state()).pending?.parameters.minimumStakeMist).toBe(3n * SUI);
  });

  test('changes servers and node ids, and ends a stake', async () => {
    const hash = 'ab'.repeat(32);
    await signedElsewhere(
      [admin],
      'cluster',
      'set',
      '--server',
      'https://server.example:6443',
      '--ca-hash',
      hash,
    );
    expect((await state()).servers).toEqual(['https://server.example:6443']);
    const [staker, nodeId] = [await account(), nextNode()];
    await signedElsewhere([admin], 'cluster', 'reserve', nodeId, '--for', staker.address);
    const { objectId } = await signedElsewhere([staker], 'stake', '--node-id', nodeId, '--amount', '2');
    await signedElsewhere([admin], 'cluster', 'unreserve', nodeId);
    const ended = await signedElsewhere([admin], 'cluster', 'force-unstake', nodeId);
    expect(ended).toMatchObject({ kind: 'force-unstake', recordId: objectId });
    const record = (await client.records([String(objectId)])).get(String(objectId));
    expect(record?.status).toBe('unbonding');
  });

  test('registers a gateway and retires it, with another wallet that pays the gas', async () => {
    const sponsor = await account();
    const before = await world.balance(admin.address);
    const added = await signedElsewhere(
      [admin, sponsor],
      ...'cluster gateway add --url https://gateway.example'.split(' '),
      ...`--signing-key ${'cd'.repeat(32)} --tls-pin ${'ef'.repeat(32)} --gas-owner ${sponsor.address}`.split(
        ' ',
      ),
    );
    expect(added).toMatchObject({ kind: 'add-gateway', gatewayId: expect.stringMatching(/^0x/) });
    const retiring = ['cluster', 'gateway', 'status', String(added.gatewayId), 'retired'];
    await signedElsewhere([admin, sponsor], ...retiring, '--gas-owner', sponsor.address);
    expect((await client.cluster()).gateways).toEqual([]);
    expect(await world.balance(admin.address)).toBe(before);
  });

  test('loses no second transaction to a file that is sent twice, and pays nothing for a dry run', async () => {
    const file = nextFile();
    const words = ['cluster', 'reserve', nextNode(), '--for', admin.address, '--sender', admin.address];
    expect(await json(...words, '--unsigned', file, '--dry-run')).toMatchObject({ dryRun: true });
    expect(existsSync(file)).toBe(false);
    await json(...words, '--unsigned', file);
    const tried = await send(file, [admin], '--dry-run');
    expect(BigInt(String(tried.gasMist))).not.toBe(0n);
    const sent = await send(file, [admin]);
    const after = await world.balance(admin.address);
    expect(await send(file, [admin])).toEqual(sent);
    expect(await world.balance(admin.address)).toBe(after);
  });

  test('signs no file that says another thing than its bytes do', async () => {
    const file = nextFile();
    const words = ['cluster', 'reserve', nextNode(), '--for', admin.address, '--sender', admin.address];
    await json(...words, '--unsigned', file);
    const content = JSON.parse(await readFile(file, 'utf8'));
    const forgeries = [
      { ...content.act, reservedFor: (await account(0n)).address },
      { ...content.act, note: 'harmless' },
      { kind: 'accept-admin' },
    ];
    for (const act of forgeries) {
      await writeFile(file, JSON.stringify({ ...content, act }));
      expect(await refusal(send(file, [admin]))).toMatchObject({ code: 'DAAS_TRANSACTION_FILE_INVALID' });
    }
  });

  test('is told what the contracts would refuse, before a file is written', async () => {
    const [stranger, file] = [await account(), nextFile()];
    const words = ['cluster', 'set', '--offer-admin', stranger.address, '--sender', stranger.address];
    expect(await refusal(json(...words, '--unsigned', file))).toMatchObject({
      code: 'DAAS_CHAIN_ABORT',
    });
    expect(existsSync(file)).toBe(false);
  });
});

describe('slashers whose keys lie elsewhere', () => {
  async function proposed() {
    const [staker, nodeId] = [await account(), nextNode()];
    const { objectId } = await signedElsewhere([staker], 'stake', '--node-id', nodeId, '--amount', '4');
    const words = ['slash', 'propose', '--node', nodeId, '--reason', 'mined', '--amount', '1'];
    const { proposalId } = await signedElsewhere(slashers.slice(0, 1), ...words);
    return { staker, recordId: String(objectId), proposal: String(proposalId) };
  }

  test('propose, answer, vote and execute by files', async () => {
    const { staker, recordId, proposal } = await proposed();
    const answer = ['slash', 'answer', proposal, '--answer', '12'.repeat(32)];
    expect(await signedElsewhere([staker], ...answer)).toMatchObject({ kind: 'answer-slash' });
    const voted = await signedElsewhere(slashers.slice(1), 'slash', 'vote', proposal);
    expect(voted).toMatchObject({ kind: 'vote-slash', votes: 2, threshold: 2 });
    const done = await signedElsewhere([staker], 'slash', 'execute', proposal);
    expect(done).toMatchObject({ kind: 'execute-slash', recordId });
    expect((await client.records([recordId])).get(recordId)?.stakeMist).toBe(3n * SUI);
  });

  test('vote and execute in one transaction when that vote is the last', async () => {
    const { recordId, proposal } = await proposed();
    const voted = await signedElsewhere(slashers.slice(1), 'slash', 'vote', proposal, '--execute');
    expect(voted).toMatchObject({ kind: 'vote-slash', andExecute: true });
    expect((await client.records([recordId])).get(recordId)?.stakeMist).toBe(3n * SUI);
  });

  test('take a vote back, cancel, and close what is over', async () => {
    const first = await proposed();
    await signedElsewhere(slashers.slice(1), 'slash', 'vote', first.proposal);
    await signedElsewhere(slashers.slice(1), 'slash', 'retract', first.proposal);
    await signedElsewhere(slashers.slice(0, 1), 'slash', 'cancel', first.proposal);
    expect((await client.proposal(first.proposal))?.status).toBe('cancelled');
    const second = await proposed();
    world.devnet.advanceClock(2 * DAY_MS);
    await signedElsewhere([second.staker], 'slash', 'expire', second.proposal);
    expect((await client.proposal(second.proposal))?.status).toBe('expired');
  });
});

describe('a person whose wallet key lies elsewhere', () => {
  test('stakes for kubectl, and the same command writes the login file once the transaction is there', async () => {
    const person = await account();
    const login = join(world.directory, 'person', 'login.json');
    const words = ['stake', '--for', 'user', '--amount', '1', '--login', login];
    const staked = await signedElsewhere([person], ...words);
    expect(staked).toMatchObject({ kind: 'join-person', tokenId: expect.stringMatching(/^0x/) });
    expect(existsSync(login)).toBe(false);
    const again = await json(...words, '--unsigned', nextFile(), '--sender', person.address);
    expect(again).toMatchObject({ record: { id: staked.objectId } });
    expect(JSON.parse(await readFile(login, 'utf8'))).toMatchObject({ sealTokenId: staked.tokenId });
  });

  test('revokes its token and makes another with other permissions, with a sponsor for the gas', async () => {
    const [person, sponsor] = [await account(1n), await account()];
    const key = join(world.directory, 'person.pub');
    await writeFile(key, 'ab'.repeat(32));
    const gas = ['--gas-owner', sponsor.address];
    const stake = ['stake', '--for', 'user', '--amount', '1', '--holder-key-file', key, ...gas];
    const { objectId } = await signedElsewhere([person, sponsor], ...stake);
    const record = ['--record', String(objectId)];
    await signedElsewhere([person, sponsor], 'token', 'revoke', ...record, ...gas);
    const create = ['token', 'create', ...record, '--permission', 'pods:read', '--holder-key-file', key];
    const minted = await signedElsewhere([person, sponsor], ...create, ...gas);
    expect(minted).toMatchObject({ kind: 'mint-person', permissions: ['pods:read'] });
    const token = (await client.tokens([String(minted.objectId)])).get(String(minted.objectId));
    expect(token?.permissions).toEqual(['pods:read']);
  });
});

test('acts on a cluster and acts of a staker are told apart by their kind', () => {
  expect(isClusterAct({ kind: 'force-unstake' })).toBe(true);
  for (const kind of ['stake', 'join-person', 'withdraw']) expect(isClusterAct({ kind })).toBe(false);
});
