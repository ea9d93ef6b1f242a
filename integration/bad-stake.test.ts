import { chmod } from 'node:fs/promises';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { describe, expect, test } from 'vitest';
import { chainOf, describeCases, endOf, expectRefused, fileOf, soon, sui, world } from './refusals.ts';
import { freePort } from './world/free-port.ts';
import { stakeAndMint } from './world/outsider.ts';
import { SUI } from './world/world.ts';

/** A wallet, a chain or a stake that cannot be used: the exact message and exit code, and nothing left behind. */
describeCases('the wallet', 'wallet', [
  {
    wrong: 'a key file that is not there',
    options: () => ({ config: { wallet: { keyFile: '/nowhere/wallet.key' } } }),
    exitCode: 78,
    code: 'DAAS_WALLET_KEY_UNREADABLE',
    says: () => ['/nowhere/wallet.key'],
  },
  {
    wrong: 'no key at all',
    options: () => ({ config: { wallet: {} } }),
    exitCode: 78,
    code: 'DAAS_WALLET_MISSING',
    says: () => ['wallet.keyFile'],
  },
  {
    wrong: 'a key file with something else in it',
    options: async (nodeId) => ({ config: { wallet: { keyFile: await fileOf(nodeId, 'not a key') } } }),
    exitCode: 78,
    code: 'DAAS_WALLET_KEY_INVALID',
    says: () => ['wallet.key', 'suiprivkey1'],
  },
  {
    wrong: 'a key file that others can read',
    options: async (nodeId) => {
      const keyFile = await fileOf(nodeId, Ed25519Keypair.generate().getSecretKey());
      await chmod(keyFile, 0o644);
      return { config: { wallet: { keyFile } } };
    },
    exitCode: 78,
    code: 'DAAS_WALLET_KEY_EXPOSED',
    says: () => ['644', 'chmod 600'],
  },
  {
    wrong: 'an address that is not the key’s',
    options: async (nodeId) => ({
      config: {
        wallet: {
          keyFile: await fileOf(nodeId, Ed25519Keypair.generate().getSecretKey()),
          address: `0x${'12'.repeat(32)}`,
        },
      },
    }),
    exitCode: 78,
    code: 'DAAS_WALLET_ADDRESS_MISMATCH',
    says: () => [`0x${'12'.repeat(32)}`],
  },
]);

describeCases('the chain and the stake', 'chain', [
  {
    wrong: 'a chain that does not answer before the deadline',
    options: () => ({
      config: {
        ...chainOf({ endpoints: ['http://127.0.0.1:9'] }).config,
        join: { deadlineMs: 5000 },
      },
    }),
    exitCode: 75,
    code: 'DAAS_JOIN_DEADLINE',
    says: () => ['5000 ms', 'join.deadlineMs', '127.0.0.1:9'],
  },
  {
    wrong: 'another chain than the configuration names',
    options: () => {
      const chainId = '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD';
      const { config } = chainOf({ ...world.chain.deployment, deployment: undefined, chainId });
      // A public network: consent to any terms would be refused before the chain is asked.
      const stake = { amountMist: (2n * SUI).toString(), acceptTerms: '0'.repeat(32) };
      return { config: { ...config, stake } };
    },
    exitCode: 78,
    code: 'DAAS_CHAIN_ID_MISMATCH',
    says: () => [
      '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD',
      world.chain.deployment.chainId,
      world.chain.url,
    ],
  },
  {
    wrong: 'a cluster that is not there',
    options: () =>
      chainOf({ ...world.chain.deployment, deployment: undefined, clusterId: `0x${'c1'.repeat(32)}` }),
    exitCode: 75,
    code: 'DAAS_CLUSTER_UNKNOWN',
    says: () => [`0x${'c1'.repeat(32)}`],
  },
  {
    wrong: 'an endpoint of the chain that the file and the configuration name differently',
    options: () => chainOf({ clusterId: `0x${'c1'.repeat(32)}` }),
    exitCode: 78,
    code: 'DAAS_DEPLOYMENT_MISMATCH',
    says: () => [`0x${'c1'.repeat(32)}`, world.chain.deployment.clusterId, world.deploymentFile],
  },
  {
    wrong: 'no amount to stake',
    options: () => ({ config: { stake: {} } }),
    exitCode: 78,
    code: 'DAAS_STAKE_AMOUNT_MISSING',
    says: () => ['stake.amountMist'],
  },
  {
    wrong: 'a stake below the cluster’s minimum',
    options: () => ({ stakeMist: 5n }),
    exitCode: 78,
    code: 'DAAS_STAKE_TOO_LOW',
    says: () => ['5 MIST', 'minimum of the cluster, 1 SUI'],
  },
  {
    wrong: 'more than the wallet holds',
    options: () => ({ stakeMist: 1000n * SUI }),
    exitCode: 78,
    code: 'DAAS_BALANCE_TOO_LOW',
    says: ({ wallet }) => [wallet.address, '1000 SUI', '100 SUI'],
  },
  {
    wrong: 'a gateway that is none of the chain’s',
    options: () => ({ config: { join: { gatewayUrl: 'https://mallory.example', deadlineMs: 20_000 } } }),
    exitCode: 78,
    code: 'DAAS_GATEWAY_NOT_ON_CHAIN',
    says: () => ['https://mallory.example', 'join.gatewayUrl', world.gatewayUrl],
  },
]);

describe('what others have done', () => {
  test('the node id is staked by another wallet: DAAS_NODE_ID_TAKEN, exit 78', async () => {
    const wallet = Ed25519Keypair.generate();
    await world.chain.devnet.faucet(wallet.toSuiAddress(), 10n * SUI);
    const other = await stakeAndMint(sui, world.chain.deployment, { nodeId: 'taken', wallet });
    await expectRefused(await world.worker('taken', { config: soon }), {
      exitCode: 78,
      code: 'DAAS_NODE_ID_TAKEN',
      says: () => ["'taken'", other.wallet.toSuiAddress(), other.recordId, 'choose another nodeId'],
    });
  });

  test('the name is that of a server, and the gateway tells such names: nothing is staked, exit 78', async () => {
    const worker = await world.worker('server', { config: soon });
    const before = await world.node('server');
    const end = await endOf(worker.start());
    expect(end).toMatchObject({ exitCode: 78, code: 'DAAS_GATEWAY_NAME_NOT_OURS' });
    expect(end.sentence).toContain('server');
    expect(await world.chain.balance(worker.wallet.address)).toBe(100n * SUI);
    expect(await world.node('server')).toEqual(before);
  });

  test('the token is for another key: DAAS_HOLDER_KEY_MISMATCH, exit 78', async () => {
    const wallet = await world.chain.wallet(100n);
    const { tokenId } = await stakeAndMint(sui, world.chain.deployment, {
      nodeId: 'moved',
      wallet: Ed25519Keypair.fromSecretKey(wallet.secretKey),
    });
    const end = await endOf((await world.workerOf('moved', wallet, { config: soon })).start());
    expect(end).toMatchObject({ exitCode: 78, code: 'DAAS_HOLDER_KEY_MISMATCH' });
    expect(end.sentence).toContain(tokenId);
    expect(await world.node('moved')).toBeUndefined();
  });

  test('a second host on one state directory is refused, and the first goes on', async () => {
    // Both would have the same health port: that it is taken is not what is wrong.
    const health = { host: '127.0.0.1', port: await freePort() };
    const worker = await world.worker('first', { config: { ...soon, ...chainOf({}).config, health } });
    const first = worker.start();
    await first.event('worker.registered');
    const end = await endOf(worker.start());
    expect(end).toMatchObject({ exitCode: 75, code: 'DAAS_LOCK_HELD' });
    expect(end.sentence).toContain(String(first.pid));
    expect(end.sentence).toContain(worker.stateDir);
    await first.event('agent.ready');
    await first.stop();
  });
});
