import { bcs } from '@mysten/sui/bcs';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction, TransactionDataBuilder } from '@mysten/sui/transactions';
import { fromBase64 } from '@mysten/sui/utils';
import { expect, test } from 'vitest';
import { FakeClock, settled } from '#testing';
import { anchorStatement } from './audit-anchor.ts';
import { ChainError } from './endpoints/index.ts';
import { type AnchorsWanted, readAnchors } from './read-anchors.ts';

const owner = { clusterId: `0x${'c'.repeat(64)}`, gatewayId: 'gateway-1' };
const wallet = new Ed25519Keypair();
const stranger = new Ed25519Keypair();
const coinId = `0x${'9'.repeat(64)}`;
const someDigest = '4'.repeat(44);

/** An anchor by the wallet, as its sender, that this key has signed. */
async function anchorBy(signer: Ed25519Keypair, sequence: number, { atMs = 1, coins = 1 } = {}) {
  const tx = new Transaction();
  tx.setSender(wallet.toSuiAddress());
  tx.setGasPrice(1_000);
  tx.setGasBudget(1_000_000);
  const idOf = (index: number) => coinId.slice(0, -2) + String(index + 10);
  tx.setGasPayment(
    Array.from({ length: coins }, (_, index) => ({
      objectId: idOf(index),
      version: '4',
      digest: someDigest,
    })),
  );
  const head = { sequence, hash: 'ab'.repeat(32), atMs };
  tx.pure(bcs.vector(bcs.u8()).serialize(anchorStatement(owner, head)));
  const bytes = await tx.build();
  const { signature } = await signer.signTransaction(bytes);
  return { bytes, signature, digest: TransactionDataBuilder.getDigestFromBytes(bytes) };
}

type Served = Awaited<ReturnType<typeof anchorBy>>;

interface History {
  readonly onTransaction?: () => void;
  /** The transaction that wrote a coin before. */
  readonly before?: () => Promise<string>;
}
const gone = new ChainError('DAAS_CHAIN_REFUSED', 'pruned');

/** A full node that serves one coin and one transaction, whatever they are. */
function nodeThatServes(
  { bytes, signature, digest }: Served,
  { onTransaction = () => undefined, before = () => Promise.reject(gone) }: History = {},
) {
  const client = {
    core: {
      listCoins: async () => ({
        objects: [{ objectId: coinId, version: '5', digest: someDigest, balance: '1' }],
        hasNextPage: false,
        cursor: null,
      }),
      getObjects: async () => ({
        objects: [
          {
            objectId: coinId,
            version: '5',
            digest: someDigest,
            type: 'coin',
            owner: { $kind: 'AddressOwner', AddressOwner: wallet.toSuiAddress() },
            previousTransaction: digest,
          },
        ],
      }),
    },
    ledgerService: {
      getTransaction: async () => {
        onTransaction();
        const signatures = [{ bcs: { value: fromBase64(signature) } }];
        return { response: { transaction: { transaction: { bcs: { value: bytes } }, signatures } } };
      },
      getObject: async () => ({ response: { object: { previousTransaction: await before() } } }),
    },
  };
  return async (_what: string, body: (client: never, signal: AbortSignal) => Promise<unknown>) =>
    body(client as never, new AbortController().signal);
}

const down = async () => {
  throw new ChainError('DAAS_CHAIN_UNAVAILABLE', 'away', { isRetryable: true });
};

const clock = new FakeClock();
type Call = (...call: never[]) => unknown;
const read = (...calls: readonly Call[]) => readWith({}, ...calls);
const readWith = (wanted: Partial<AnchorsWanted>, ...calls: readonly Call[]) =>
  readAnchors({ endpoints: { all: calls.map((call) => ({ call })) }, deployment: owner } as never, {
    wallet: wallet.toSuiAddress(),
    gatewayId: owner.gatewayId,
    mostPerCoin: 1,
    clock,
    ...wanted,
  });

test('an anchor counts by the signature of the wallet: a full node cannot make one up', async () => {
  const good = await anchorBy(wallet, 7);
  expect((await read(nodeThatServes(good))).anchors).toMatchObject([{ sequence: 7, digest: good.digest }]);
  const forged = await anchorBy(stranger, 9_000);
  expect((await read(nodeThatServes(forged))).anchors).toEqual([]);
  // The signature of one transaction under the bytes of another.
  expect((await read(nodeThatServes({ ...forged, signature: good.signature }))).anchors).toEqual([]);
  const noTransaction = { ...good, bytes: new Uint8Array([1, 2, 3]) };
  expect((await read(nodeThatServes(noTransaction))).anchors).toEqual([]);
});

test('one full node that answers is enough, and none is an error', async () => {
  const good = await anchorBy(wallet, 7);
  expect(await read(down, nodeThatServes(good))).toMatchObject({
    anchors: [{ sequence: 7 }],
    asked: 2,
    answered: 1,
  });
  const hanging = () => new Promise(() => undefined);
  const slow = read(hanging, nodeThatServes(good));
  await settled();
  await clock.advance(5_000);
  expect(await slow).toMatchObject({ anchors: [{ sequence: 7 }], asked: 2, answered: 1 });
  await expect(read(down, down)).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
});

test('a walk that takes too long shows what it has found, and does not count as an answer', async () => {
  const good = await anchorBy(wallet, 7, { atMs: 9 });
  // Of the wallet: later than what is asked for, so the walk goes on.
  const long = nodeThatServes(good, { before: () => new Promise(() => undefined) });
  const cut = readWith({ untilMs: 8, mostMs: 10_000, othersMs: 60_000 }, long, down);
  await settled();
  await clock.advance(10_000);
  expect(await cut).toMatchObject({ anchors: [{ sequence: 7 }], asked: 2, answered: 0 });
  const hanging = () => new Promise(() => undefined);
  const silent = expect(readWith({ mostMs: 10_000 }, hanging)).rejects.toThrow('no answer within 10000 ms');
  await settled();
  await clock.advance(10_000);
  await silent;
});

test('one full node is asked for no more than two hundred transactions, however many coins have paid', async () => {
  const good = await anchorBy(wallet, 7, { coins: 50 });
  let asked = 0;
  const onTransaction = () => {
    asked += 1;
  };
  let digests = 0;
  const before = async () => {
    digests += 1;
    return `digest-${digests}`;
  };
  const node = nodeThatServes(good, { onTransaction, before });
  expect(await readWith({ mostPerCoin: 1_000 }, node)).toMatchObject({ answered: 1 });
  expect(asked).toBe(200);
});
