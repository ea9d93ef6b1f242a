import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { expect, test } from 'vitest';
import type { Endpoint } from './endpoint.ts';
import { prepareTransaction } from './transactions.ts';

/** A full node that knows the epoch and a wallet's coins, and nothing else. */
function endpointWithCoins(balances: readonly string[]): Endpoint {
  const objects = balances.map((balance, index) => ({
    objectId: `0x${(index + 1).toString(16)}`,
    version: '1',
    digest: '11111111111111111111111111111111',
    balance,
  }));
  const client = {
    ledgerService: {
      getEpoch: async () => ({ response: { epoch: { epoch: 1n, referenceGasPrice: 1_000n } } }),
    },
    core: {
      listCoins: async () => ({ objects, hasNextPage: false, cursor: null }),
      getObjects: async () => ({ objects: [] }),
    },
  } as unknown as SuiGrpcClient;
  return {
    url: 'http://node.example.com',
    chainId: async () => 'chain',
    call: (_what, body) => body(client, new AbortController().signal),
  };
}

test.each([
  ['with a budget', 50_000_000n],
  ['without one', undefined],
])(
  'a wallet whose money lies in more coins than can pay at once is told what is missing, %s',
  async (_case, budgetMist) => {
    // 300 coins of 0.01 SUI: 3 SUI, of which 200 coins can be used.
    const endpoint = endpointWithCoins(Array.from({ length: 300 }, () => '10000000'));
    const request = {
      sender: `0x${'1'.repeat(64)}`,
      shared: [],
      spendMist: 2_500_000_000n,
      ...(budgetMist !== undefined && { budgetMist }),
      build: () => undefined,
    };
    await expect(prepareTransaction(endpoint, request)).rejects.toMatchObject({
      code: 'DAAS_BALANCE_TOO_LOW',
      message: expect.stringMatching(/has 2 SUI in coins.*send it at least 0\.5/s),
    });
  },
);

test('an empty wallet is told that it needs gas, not that one MIST would do', async () => {
  const request = { sender: `0x${'1'.repeat(64)}`, shared: [], spendMist: 0n, build: () => undefined };
  await expect(prepareTransaction(endpointWithCoins([]), request)).rejects.toMatchObject({
    code: 'DAAS_BALANCE_TOO_LOW',
    message: expect.stringContaining('has 0 SUI in coins, gas must be paid from it: send it some SUI'),
  });
});
