import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { Lifetime } from '#base';
import { devChain, devCrl } from './dev-chain.ts';
import { devQuote } from './dev-intel.ts';
import type { CollateralItem } from './evidence.ts';
import { refreshCollateral } from './refresh-collateral.ts';
import { NOW } from './trial.fixture.ts';

const DAY_MS = 86_400_000;

interface Served {
  readonly body: Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A mirror on loopback, and how to ask it at a time. */
async function mirror(life: Lifetime, replies: Readonly<Record<string, Served>>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const reply = replies[request.url ?? ''];
    response.writeHead(reply ? 200 : 503, reply?.headers).end(reply?.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  life.defer('mirror', () => new Promise<void>((resolve) => server.close(() => resolve())));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const at = (nowMs: number, withinMs = DAY_MS) => ({ nowMs, withinMs, signal: AbortSignal.timeout(10_000) });
  return { asked, base, at };
}

async function crlOf(nowMs: number): Promise<CollateralItem> {
  const { root } = await devChain({
    nowMs: NOW,
    names: { root: 'dev-refresh-root', intermediate: 'dev-refresh-ca', leaf: 'dev-refresh-leaf' },
    caAlgorithm: 'P-256',
    leafAlgorithm: 'P-256',
  });
  return { name: 'crl', content: await devCrl({ nowMs, issuer: root, nextUpdateMs: nowMs + 30 * DAY_MS }) };
}

test('a list that ends soon is fetched again from where it came, another one is not', async () => {
  await using life = new Lifetime();
  const [old, fresh] = [await crlOf(NOW), await crlOf(NOW + 29.5 * DAY_MS)];
  const { asked, base, at } = await mirror(life, { '/crl': { body: fresh.content } });
  const items = [{ ...old, source: `${base}/crl` }];
  expect(await refreshCollateral(items, at(NOW))).toMatchObject([{ outcome: 'kept', item: items[0] }]);
  expect(asked).toEqual([]);
  const [refreshed] = await refreshCollateral(items, at(NOW + 29.5 * DAY_MS));
  expect(refreshed).toMatchObject({
    outcome: 'fetched',
    item: { source: `${base}/crl`, fetchedAtMs: NOW + 29.5 * DAY_MS },
  });
  expect(Buffer.from(refreshed?.item.content ?? []).equals(Buffer.from(fresh.content))).toBe(true);
});

test('TCB info comes with the chain of its signer', async () => {
  await using life = new Lifetime();
  const later = NOW + 365 * DAY_MS;
  const tcbInfoAt = async (nowMs: number) =>
    (await devQuote({ nowMs })).collateral.find(({ name }) => name === 'tcb-info') as CollateralItem;
  const [old, fresh] = [await tcbInfoAt(NOW), await tcbInfoAt(later)];
  const chain = encodeURIComponent(fresh.issuerChain ?? '');
  const { base, at } = await mirror(life, {
    '/tcb': { body: fresh.content, headers: { 'TCB-Info-Issuer-Chain': chain } },
    '/bare': { body: fresh.content },
  });
  const [refreshed] = await refreshCollateral([{ ...old, source: `${base}/tcb` }], at(later));
  expect(refreshed).toMatchObject({ outcome: 'fetched', item: { issuerChain: fresh.issuerChain } });
  const [bare] = await refreshCollateral([{ ...old, source: `${base}/bare` }], at(later));
  expect(bare).toMatchObject({
    outcome: 'failed',
    why: expect.stringContaining('lacks the header') as string,
  });
});

test('what fails, is older, or is something else leaves the document as it is, and the others go on', async () => {
  await using life = new Lifetime();
  const later = NOW + 31 * DAY_MS;
  const [held, older, fresh] = [await crlOf(NOW), await crlOf(NOW - DAY_MS), await crlOf(later)];
  const { base, at } = await mirror(life, {
    '/older': { body: older.content },
    '/page': { body: Buffer.from('<html>') },
    '/crl': { body: fresh.content },
  });
  const from = (path: string) => ({ ...held, source: base + path });
  const items = [from('/gone'), from('/older'), from('/page'), from('/crl')];
  const refreshed = await refreshCollateral(items, at(later));
  expect(refreshed.map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'failed', 'fetched']);
  expect(refreshed.slice(0, 3).map(({ item }) => item)).toEqual(items.slice(0, 3));
  expect(refreshed.map(({ why }) => why).join()).toMatch(/replied 503.*older document.*not readable/s);
});

test('certificates, and what came from nowhere, are kept', async () => {
  await using life = new Lifetime();
  const { asked, base, at } = await mirror(life, {});
  const crl = await crlOf(NOW);
  const items: CollateralItem[] = [
    { name: 'certificate', content: Buffer.of(1), source: `${base}/vcek` },
    crl,
  ];
  const refreshed = await refreshCollateral(items, at(NOW + 31 * DAY_MS));
  expect(refreshed.map(({ outcome }) => outcome)).toEqual(['kept', 'kept']);
  expect(asked).toEqual([]);
});
