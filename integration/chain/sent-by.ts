import type { ChainWorld } from './chain-world.ts';

/** All that a wallet has sent, and what that took in gas: the chain's own record, whatever a program says of itself. */
export async function sentBy(
  { client }: Pick<ChainWorld, 'client'>,
  sender: string,
): Promise<{ count: number; gasMist: bigint }> {
  const { transactions } = await client.endpoints.read('the transactions', (sui, signal) =>
    sui.core.listTransactions({ filter: { sender }, include: { effects: true }, signal }),
  );
  let gasMist = 0n;
  for (const result of transactions) {
    const { gasUsed } = (result.Transaction ?? result.FailedTransaction).effects;
    gasMist += BigInt(gasUsed.computationCost) + BigInt(gasUsed.storageCost) - BigInt(gasUsed.storageRebate);
  }
  return { count: transactions.length, gasMist };
}

/** How many Seal tokens a wallet has. */
export async function tokensOf(
  { client, deployment }: Pick<ChainWorld, 'client' | 'deployment'>,
  owner: string,
): Promise<number> {
  const type = `${deployment.packageId}::k8s_gateway::SealToken`;
  const { objects } = await client.endpoints.read('the tokens', (sui, signal) =>
    sui.core.listOwnedObjects({ owner, type, signal }),
  );
  return objects.length;
}
