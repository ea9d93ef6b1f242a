import { type LyingNode, startLyingNode } from '@k3s-daas/devnet';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { silentLog, systemClock } from '#base';
import {
  anchorStatement,
  type ChainClient,
  createChainClient,
  createProbing,
  openNetwork,
  readAnchors,
  type Wallet,
} from '#chain';
import { type AuditAnchor, newestAnchor } from '#domain';
import { currentPin } from '#proof';
import { memoryJournal } from '#testing';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

/** Two full nodes: the first one may lie. */
let world: ChainWorld;
let liar: LyingNode;

beforeAll(async () => {
  world = await startChainWorld();
  liar = await startLyingNode(world.devnet.ledger);
});
afterEach(() => liar.beHonest());
afterAll(async () => {
  await liar?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

async function openClient(urls: readonly string[], { isPinned = true } = {}): Promise<ChainClient> {
  const { endpoints } = await openNetwork([world.url], { clock: systemClock });
  const trust = isPinned ? { trust: await currentPin(endpoints) } : {};
  const deployment = { ...world.deployment, ...trust };
  return createChainClient({ endpoints: urls, deployment, clock: systemClock, retryForMs: 0 });
}

const hashOf = (sequence: number) => sequence.toString(16).padStart(64, '0');

interface Probe {
  readonly wallet: Wallet;
  readonly sequence: number;
  readonly gatewayId?: string;
  readonly client?: ChainClient;
}

/** Anchors a head as a gateway does whose first probe of the day is due. */
async function anchored({ wallet, sequence, gatewayId = 'gateway-1', client }: Probe): Promise<AuditAnchor> {
  const stop = new AbortController();
  const done = Promise.withResolvers<AuditAnchor>();
  const probing = createProbing({
    client: client ?? (await openClient([world.url])),
    wallet,
    schedule: { kind: 'off' },
    anchoring: { mode: 'daily', gatewayId },
    clock: systemClock,
    log: silentLog,
    journal: async () => memoryJournal(),
  });
  probing.carry({
    head: async () => ({ sequence, hash: hashOf(sequence), atMs: 1_700_000_000_000 + sequence }),
    anchored: done.resolve,
  });
  const running = probing.run(stop.signal);
  const anchor = await done.promise;
  const { anchors, costMist = 0n } = probing.status();
  expect(anchors).toMatchObject({ mode: 'daily', newest: anchor });
  expect(costMist).toBeGreaterThan(500_000n);
  expect(costMist).toBeLessThan(2_000_000n);
  stop.abort();
  await running;
  return anchor;
}

const read = async (
  { address: wallet }: Pick<Wallet, 'address'>,
  {
    gatewayId = 'gateway-1',
    mostPerCoin = 1,
    urls = [world.url],
  }: { gatewayId?: string; mostPerCoin?: number; urls?: readonly string[] } = {},
) => readAnchors(await openClient(urls), { wallet, gatewayId, mostPerCoin, clock: systemClock });

const sequencesOf = ({ anchors }: { readonly anchors: readonly AuditAnchor[] }) =>
  anchors.map(({ sequence }) => sequence).sort((a, b) => a - b);

test('a head that a probe has carried is read back from the chain by the coins of its wallet', async () => {
  const wallet = await world.wallet(1n);
  const anchor = await anchored({ wallet, sequence: 57 });
  expect(anchor).toMatchObject({ sequence: 57, hash: hashOf(57), atMs: 1_700_000_000_057 });
  expect(await read(wallet)).toEqual({ anchors: [anchor], asked: 1, answered: 1 });
  await anchored({ wallet, sequence: 58 });
  await anchored({ wallet, sequence: 59 });
  // Those of before are found also where a later one does not count.
  const wanted = { wallet: wallet.address, gatewayId: 'gateway-1', mostPerCoin: 1, clock: systemClock };
  const untilMs = 1_700_000_000_058;
  expect(sequencesOf(await readAnchors(await openClient([world.url]), { ...wanted, untilMs }))).toEqual([
    58, 59,
  ]);
  expect(sequencesOf(await read(wallet))).toEqual([59]);
  expect(sequencesOf(await read(wallet, { mostPerCoin: 10 }))).toEqual([57, 58, 59]);
});

test('a gateway without a trust pin anchors too', async () => {
  const wallet = await world.wallet(1n);
  const client = await openClient([world.url], { isPinned: false });
  const anchor = await anchored({ wallet, sequence: 7, client });
  const wanted = { wallet: wallet.address, gatewayId: 'gateway-1', mostPerCoin: 1, clock: systemClock };
  expect((await readAnchors(client, wanted)).anchors).toEqual([anchor]);
});

test('gateways that share a wallet find their own, also behind the payments of others', async () => {
  const wallet = await world.wallet(1n);
  await anchored({ wallet, sequence: 5 });
  await anchored({ wallet, sequence: 900, gatewayId: 'gateway-2' });
  await pay(wallet, wallet.address);
  expect(sequencesOf(await read(wallet))).toEqual([5]);
  expect(sequencesOf(await read(wallet, { gatewayId: 'gateway-2' }))).toEqual([900]);
  expect((await read(wallet, { gatewayId: 'gateway-3' })).anchors).toEqual([]);
});

/** A payment of anybody, with a pure input beside. */
async function pay(from: Wallet & { readonly secretKey: string }, to: string, statement?: Uint8Array) {
  const tx = new Transaction();
  tx.setSender(from.address);
  if (statement) tx.pure.vector('u8', [...statement]);
  const [coin] = tx.splitCoins(tx.gas, [SUI / 10n]);
  if (!coin) throw new Error('no coin was split off');
  tx.transferObjects([coin], to);
  const signer = Ed25519Keypair.fromSecretKey(from.secretKey);
  await world.client.endpoints.read('a payment', async (client, signal) => {
    const bytes = await tx.build({ client });
    const { signature } = await signer.signTransaction(bytes);
    return client.core.executeTransaction({ transaction: bytes, signatures: [signature], signal });
  });
}

test('an anchor by another wallet does not count, even where it has paid this one', async () => {
  const [wallet, stranger] = [await world.wallet(1n), await world.wallet(1n)];
  await anchored({ wallet, sequence: 40 });
  const owner = { clusterId: world.deployment.clusterId, gatewayId: 'gateway-1' };
  const head = { sequence: 9_000, hash: hashOf(9), atMs: 1_800_000_000_000 };
  await pay(stranger, wallet.address, anchorStatement(owner, head));
  expect(sequencesOf(await read(wallet))).toEqual([40]);
  expect(sequencesOf(await read(stranger))).toEqual([9_000]);
});

test('an anchor of another cluster does not count', async () => {
  const wallet = await world.wallet(1n);
  const elsewhere = { clusterId: `0x${'ab'.repeat(32)}`, gatewayId: 'gateway-1' };
  await pay(wallet, wallet.address, anchorStatement(elsewhere, { sequence: 3, hash: hashOf(3), atMs: 1 }));
  expect((await read(wallet)).anchors).toEqual([]);
});

test('a full node that hides the newest anchor is overruled by another that shows it', async () => {
  const wallet = await world.wallet(1n);
  await anchored({ wallet, sequence: 10 });
  const [coin] = world.devnet.ledger.objects.ownedBy(wallet.address, world.devnet.ledger.code);
  if (!coin) throw new Error('the wallet has no coin');
  await anchored({ wallet, sequence: 11 });
  liar.lies.objects.set(coin.id, coin);
  expect(sequencesOf(await read(wallet, { urls: [liar.url] }))).toEqual([10]);
  const both = await read(wallet, { urls: [liar.url, world.url] });
  expect(newestAnchor(both.anchors)?.sequence).toBe(11);
  liar.lies.busyForSeconds = 1;
  expect(await read(wallet, { urls: [liar.url, world.url] })).toMatchObject({ asked: 2, answered: 1 });
});

test('a full node that has pruned the transactions shows nothing, and one that does not answer is an error', async () => {
  const wallet = await world.wallet(1n);
  await anchored({ wallet, sequence: 20 });
  liar.lies.prunedBelow = world.devnet.ledger.tip.sequenceNumber + 1n;
  expect((await read(wallet, { urls: [liar.url] })).anchors).toEqual([]);
  liar.lies.busyForSeconds = 1;
  await expect(read(wallet, { urls: [liar.url] })).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
});

test('a wallet without coins shows nothing', async () => {
  expect((await read(await world.wallet(0n))).anchors).toEqual([]);
});

test('an anchor that is known is found also where the coins of the wallet are gone', async () => {
  const wallet = await world.wallet(1n);
  const anchor = await anchored({ wallet, sequence: 30 });
  const tx = new Transaction();
  tx.setSender(wallet.address);
  tx.transferObjects([tx.gas], (await world.wallet(0n)).address);
  const signer = Ed25519Keypair.fromSecretKey(wallet.secretKey);
  await world.client.endpoints.read('all that it has', async (client, signal) => {
    const bytes = await tx.build({ client });
    const { signature } = await signer.signTransaction(bytes);
    return client.core.executeTransaction({ transaction: bytes, signatures: [signature], signal });
  });
  expect((await read(wallet)).anchors).toEqual([]);
  const wanted = { wallet: wallet.address, gatewayId: 'gateway-1', mostPerCoin: 1, clock: systemClock };
  const from = [anchor.digest, 'no digest'];
  const known = await readAnchors(await openClient([world.url]), { ...wanted, from });
  expect(known).toEqual({ anchors: [anchor], asked: 1, answered: 1 });
});
