import { readFileSync } from 'node:fs';
import type { Signer } from '@mysten/sui/cryptography';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Transaction } from '@mysten/sui/transactions';
import {
  type ChainUnderTest as BareChain,
  execute,
  idOfType,
  openChainUnderTest as openBareChain,
  publishModules,
} from '../../devnet/src/chain.fixture.ts';
import { BUILD_FILE } from './move.ts';

export { execute, idOfType, isFullNode, isMainnet } from '../../devnet/src/chain.fixture.ts';

/** The chain that a suite describes, with the contracts on it: the dev chain, or a full node. */
export interface ChainUnderTest extends BareChain {
  /** The package of contracts/build, published once for this chain. */
  packageId(): Promise<string>;
}

export async function openChainUnderTest(): Promise<ChainUnderTest> {
  const { modules } = JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as { modules: Record<string, string> };
  const chain = await openBareChain({ modules });
  let published: Promise<string> | undefined;
  const publish = async () => publishModules(chain.client, await chain.account(1_000_000_000n), modules);
  return {
    ...chain,
    packageId() {
      published ??= publish();
      return published;
    },
  };
}

/** The parameters that the tests' clusters have; the sender is slasher and treasury. */
export function newParameters(transaction: Transaction, packageId: string, address: string) {
  const { pure } = transaction;
  return transaction.moveCall({
    target: `${packageId}::cluster::new_parameters`,
    arguments: [
      pure.u64(1_000_000n),
      pure.u64(1_000n),
      pure.vector('u64', [100_000n, 1_000_000n, 10_000_000n]),
      pure('vector<vector<string>>', [
        ['pods:read', 'services:read'],
        ['nodes:write', 'pods:write'],
        ['*:*'],
      ]),
      pure.u64(600_000n),
      pure.u64(10n),
      pure.vector('address', [address]),
      pure.u64(1n),
      pure.u64(60_000n),
      pure.u64(0n),
      pure.address(address),
    ],
  });
}

/** Makes a cluster and returns its id. */
export async function createCluster(
  client: SuiGrpcClient,
  signer: Signer,
  packageId: string,
): Promise<string> {
  const transaction = new Transaction();
  const parameters = newParameters(transaction, packageId, signer.toSuiAddress());
  const made = transaction.moveCall({
    target: `${packageId}::cluster::create_cluster`,
    arguments: [parameters],
  });
  transaction.moveCall({ target: `${packageId}::cluster::share`, arguments: [made] });
  const { objectTypes } = await execute(client, signer, transaction);
  return idOfType(objectTypes, '::cluster::Cluster');
}

/** The cluster that a stake goes to. */
export interface StakeTarget {
  readonly client: SuiGrpcClient;
  readonly packageId: string;
  /** The id of the Cluster object. */
  readonly cluster: string;
}

/** Stakes for a node and returns the stake record's id. */
export async function stakeForNode(
  { client, packageId, cluster }: StakeTarget,
  signer: Signer,
  nodeId: string,
  stakeMist = 1_000_000n,
): Promise<string> {
  const transaction = new Transaction();
  const record = transaction.moveCall({
    target: `${packageId}::staking::stake_for_node`,
    arguments: [
      transaction.object(cluster),
      transaction.splitCoins(transaction.gas, [stakeMist]),
      transaction.pure.string(nodeId),
      transaction.pure.u64(1n),
      transaction.object.clock(),
    ],
  });
  transaction.moveCall({ target: `${packageId}::staking::share`, arguments: [record] });
  const { objectTypes } = await execute(client, signer, transaction);
  return idOfType(objectTypes, '::staking::StakeRecord');
}
