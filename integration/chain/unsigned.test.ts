import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transaction, TransactionDataBuilder } from '@mysten/sui/transactions';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  isClusterAct,
  isFoundingAct,
  readUnsignedTransaction,
  walletWithoutKey,
  withSignatures,
  writeDeployment,
} from '#chain';
import { stakeCommand } from '../../src/cli/stake.ts';
import { tokenCommand } from '../../src/cli/token.ts';
import { transactionCommand } from '../../src/cli/transaction.ts';
import { unstakeCommand } from '../../src/cli/unstake.ts';
import { withdrawCommand } from '../../src/cli/withdraw.ts';
import { SUI } from './chain-world.ts';
import { dyingAfterWrite } from './mortal.ts';
import { holderKey, nextNode, world } from './open-chain.ts';
import { runInProcess } from './run-command.ts';
import { type Account, account, bytesOf, multisig, refusal, signing } from './sign-elsewhere.ts';

const DAY_MS = 86_400_000;
const deploymentFile = () => join(world.directory, 'deployment.json');
let files = 0;
const nextFile = () => {
  files += 1;
  return join(world.directory, `transaction-${files}.json`);
};

beforeAll(async () => {
  await writeDeployment(deploymentFile(), world.deployment);
});

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const commands = [stakeCommand, unstakeCommand, withdrawCommand, tokenCommand, transactionCommand];
  const network = args.includes('show') && args[0] === 'transaction' ? [] : networkArgs();
  return JSON.parse(await runInProcess(commands, [...args, ...network, '--json']));
}
const networkArgs = () => ['--endpoint', world.url, '--deployment', deploymentFile()];

const { signedElsewhere, send } = signing({ json, nextFile });

async function nodeKeyFile(): Promise<string> {
  const file = nextFile();
  await writeFile(file, Buffer.from(holderKey()).toString('hex'));
  return file;
}

describe.each([
  ['an account whose key lies elsewhere', account],
  ['a multisig of two out of three', multisig],
] as const)('%s', (_what, open) => {
  test('stakes, rotates, unstakes and withdraws by signed files, and has its money back', async () => {
    const owner = await open();
    const nodeId = nextNode();
    const stake = ['stake', '--node-id', nodeId, '--amount', '2', '--holder-key-file', await nodeKeyFile()];
    const staked = await signedElsewhere([owner], ...stake);
    const recordId = String(staked.objectId);
    expect(staked).toMatchObject({ kind: 'join', nodeId, tokenId: expect.stringMatching(/^0x/) });
    expect(await world.client.liveRecordOf(nodeId)).toBe(recordId);
    const rotate = ['token', 'rotate', '--node-id', nodeId, '--holder-key-file', await nodeKeyFile()];
    expect(await signedElsewhere([owner], ...rotate)).toMatchObject({ kind: 'rotate', recordId });
    await signedElsewhere([owner], 'unstake', '--record', recordId);
    world.devnet.advanceClock(7 * DAY_MS);
    const out = await signedElsewhere([owner], 'withdraw', '--record', recordId);
    expect(out).toMatchObject({ kind: 'withdraw', amountMist: (2n * SUI).toString() });
    const left = await world.balance(owner.address);
    expect(left).toBeGreaterThan((10n * SUI * 99n) / 100n);
  });
});

const STRANGER = `0x${'e'.repeat(64)}`;

describe('a sponsor', () => {
  test('pays the gas of a wallet that has none, and the stake comes from the wallet', async () => {
    const [owner, sponsor] = [await account(2n), await account()];
    const nodeId = nextNode();
    const stake = ['stake', '--node-id', nodeId, '--amount', '2', '--gas-owner', sponsor.address];
    const { objectId } = await signedElsewhere([owner, sponsor], ...stake);
    expect(await world.balance(owner.address)).toBe(0n);
    const unstake = ['unstake', '--record', String(objectId), '--gas-owner', sponsor.address];
    await signedElsewhere([owner, sponsor], ...unstake);
    world.devnet.advanceClock(7 * DAY_MS);
    const withdraw = ['withdraw', '--record', String(objectId), '--gas-owner', sponsor.address];
    await signedElsewhere([owner, sponsor], ...withdraw);
    expect(await world.balance(owner.address)).toBe(2n * SUI);
  });

  test('pays in a dry run too: the signed bytes are what is simulated', async () => {
    const [owner, sponsor] = [await account(2n), await account()];
    const file = nextFile();
    const stake = ['stake', '--node-id', nextNode(), '--amount', '2', '--gas-owner', sponsor.address];
    await json(...stake, '--unsigned', file, '--sender', owner.address);
    const { digest, bytes } = await json('transaction', 'show', file);
    const signatures = await Promise.all([owner, sponsor].map((signer) => signer.sign(bytesOf({ bytes }))));
    const signed = signatures.flatMap((signature) => ['--signature', signature]);
    const tried = await json('transaction', 'send', file, '--dry-run', ...signed);
    expect(tried).toMatchObject({ dryRun: true, digest });
    expect(BigInt(String(tried.gasMist))).toBeGreaterThan(0n);
    expect(await world.balance(owner.address)).toBe(2n * SUI);
  });

  test('tops up from several coins of the wallet, also where the wallet pays its own gas, and revokes', async () => {
    const [owner, sponsor] = [await account(4n), await account()];
    for (let coin = 0; coin < 3; coin += 1) await world.devnet.faucet(owner.address, 4n * SUI);
    const stake = [
      'stake',
      '--node-id',
      nextNode(),
      '--amount',
      '2',
      '--holder-key-file',
      await nodeKeyFile(),
    ];
    const { objectId } = await signedElsewhere([owner], ...stake);
    const topUp = ['stake', 'top-up', '--record', String(objectId), '--amount', '5'];
    await signedElsewhere([owner], ...topUp);
    await signedElsewhere([owner, sponsor], ...topUp, '--gas-owner', sponsor.address);
    const record = (await world.client.records([String(objectId)])).get(String(objectId));
    expect(record?.stakeMist).toBe(12n * SUI);
    const revoke = ['token', 'revoke', '--record', String(objectId)];
    expect(await signedElsewhere([owner], ...revoke)).toMatchObject({ kind: 'revoke' });
  });

  test('has to sign too', async () => {
    const [owner, sponsor] = [await account(2n), await account()];
    const file = nextFile();
    const stake = ['stake', '--node-id', nextNode(), '--amount', '2', '--sender', owner.address];
    await json(...stake, '--gas-owner', sponsor.address, '--unsigned', file);
    expect(await refusal(send(file, [owner]))).toMatchObject({
      code: 'DAAS_SIGNATURE_INVALID',
      message: expect.stringContaining(sponsor.address),
    });
  });
});

describe('a file', () => {
  async function unsignedStake(): Promise<{ file: string; owner: Account; nodeId: string }> {
    const [file, owner, nodeId] = [nextFile(), await account(), nextNode()];
    const stake = ['stake', '--node-id', nodeId, '--amount', '2', '--sender', owner.address];
    await json(...stake, '--unsigned', file);
    return { file, owner, nodeId };
  }

  test('that is sent twice is carried out once', async () => {
    const { file, owner, nodeId } = await unsignedStake();
    const first = await send(file, [owner]);
    expect(await send(file, [owner])).toEqual(first);
    expect(await world.client.liveRecordOf(nodeId)).toBe(first.objectId);
    expect(await world.balance(owner.address)).toBeGreaterThan(7n * SUI);
  });

  test('signed and killed before it is sent is carried out by the next run', async () => {
    const { file, owner, nodeId } = await unsignedStake();
    const transaction = await readUnsignedTransaction(await readFile(file, 'utf8'), file);
    if (isClusterAct(transaction.act) || isFoundingAct(transaction.act))
      throw new Error(`a stake is no ${transaction.act.kind}`);
    const { act } = transaction;
    const signed = await withSignatures(transaction, [await owner.sign(transaction.bytes)]);
    const wallet = walletWithoutKey(owner.address);
    const journal = await world.journal(wallet);
    const dying = await world.stakeChain(wallet, { journal: dyingAfterWrite(journal) });
    await expect(dying.sendSigned(act, signed)).rejects.toThrow('died');
    const chain = await world.stakeChain(wallet);
    const { objectId } = await chain.sendSigned(act, signed);
    expect(await world.client.liveRecordOf(nodeId)).toBe(objectId);
  });

  test('whose node id was taken meanwhile is refused before it is sent', async () => {
    const { file, owner, nodeId } = await unsignedStake();
    await (await world.stakeChain(await world.wallet())).stakeForNode({ nodeId, stakeMist: 2n * SUI });
    expect(await refusal(send(file, [owner]))).toMatchObject({ code: 'DAAS_NODE_ID_TAKEN' });
    expect(await world.balance(owner.address)).toBe(10n * SUI);
  });

  test('signed by another key, or over other bytes, is refused', async () => {
    const { file } = await unsignedStake();
    expect(await refusal(send(file, [await account()]))).toMatchObject({ code: 'DAAS_SIGNATURE_INVALID' });
  });

  test('that was changed is refused', async () => {
    const { file, owner } = await unsignedStake();
    const content = JSON.parse(await readFile(file, 'utf8'));
    const changes = [
      { ...content, act: { kind: 'unstake', recordId: content.clusterId } },
      { ...content, digest: content.digest.replace(/^./, 'Z') },
      { ...content, bytes: Buffer.from('nothing').toString('base64') },
      { ...content, packageId: content.clusterId },
    ];
    for (const change of changes) {
      await writeFile(file, JSON.stringify(change));
      expect(await refusal(send(file, [owner]))).toMatchObject({ code: 'DAAS_TRANSACTION_FILE_INVALID' });
    }
  });

  test('whose bytes do more than they say, or the same with another amount or receiver, is refused before anybody signs', async () => {
    const { file, owner } = await unsignedStake();
    const content = JSON.parse(await readFile(file, 'utf8'));
    const bytes = Uint8Array.from(Buffer.from(content.bytes, 'base64'));
    const forgeries: Array<(tx: Transaction) => void> = [
      (tx) => void tx.transferObjects([tx.splitCoins(tx.gas, [1_000_000n])], STRANGER),
      (tx) => void tx.transferObjects([tx.gas], STRANGER),
    ];
    for (const forge of forgeries) {
      const tx = Transaction.from(bytes);
      forge(tx);
      const forged = await tx.build();
      const digest = TransactionDataBuilder.getDigestFromBytes(forged);
      await writeFile(
        file,
        JSON.stringify({ ...content, digest, bytes: Buffer.from(forged).toString('base64') }),
      );
      expect(await refusal(json('transaction', 'show', file))).toMatchObject({
        code: 'DAAS_TRANSACTION_FILE_INVALID',
      });
    }
    const changed = { ...content.act, stakeMist: String(BigInt(content.act.stakeMist) - 1n) };
    await writeFile(file, JSON.stringify({ ...content, act: changed }));
    expect(await refusal(send(file, [owner]))).toMatchObject({ code: 'DAAS_TRANSACTION_FILE_INVALID' });
  });

  test('of an epoch that is over can no longer be sent', async () => {
    const { file, owner } = await unsignedStake();
    world.devnet.advanceEpoch();
    world.devnet.advanceEpoch();
    expect(await refusal(send(file, [owner]))).toMatchObject({
      code: 'DAAS_TRANSACTION_OVERTAKEN',
      message: expect.stringContaining('it expired with epoch'),
    });
    expect(await world.balance(owner.address)).toBe(10n * SUI);
  });
});

test('a command whose wallet has no key here says where it is, and what to do', async () => {
  const owner = await account();
  const chain = await world.stakeChain(walletWithoutKey(owner.address));
  await expect(chain.stakeForNode({ nodeId: nextNode(), stakeMist: 2n * SUI })).rejects.toMatchObject({
    code: 'DAAS_WALLET_KEY_ELSEWHERE',
    message: expect.stringContaining('--unsigned'),
  });
});

test('flags for another signer mean nothing without a file for it', async () => {
  const { address } = await account(0n);
  for (const flag of ['--sender', '--gas-owner'])
    expect(await refusal(json('unstake', '--node-id', 'a', flag, address))).toMatchObject({
      code: 'DAAS_FLAG_MISSING',
      details: { flag: '--unsigned' },
    });
});
