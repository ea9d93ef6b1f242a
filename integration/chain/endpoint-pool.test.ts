import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime, silentLog, systemClock } from '#base';
import { createChainClient, createStakeChain, type EndpointStatus, openNetwork } from '#chain';
import { currentPin } from '#proof';
import { type MoveObject, withDigest } from '../../devnet/src/objects.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

let world: ChainWorld;
let life = new Lifetime();
beforeAll(async () => {
  world = await startChainWorld();
});
afterEach(async () => {
  await life.close();
  life = new Lifetime();
});
afterAll(() => world[Symbol.asyncDispose]());

type Handle = (incoming: IncomingMessage, outgoing: ServerResponse, forward: () => void) => void;

interface Gate {
  readonly url: string;
  /** Calls that have arrived. */
  readonly calls: () => number;
  handle: Handle;
}

/** A full node in front of the dev chain that may hang, refuse or change what passes. */
async function gate(handle: Handle): Promise<Gate> {
  let calls = 0;
  const server = createServer((incoming, outgoing) => {
    calls += 1;
    const forward = () => pass(incoming, outgoing, {});
    opened.handle(incoming, outgoing, forward);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  life.defer('gate', () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  });
  const { port } = server.address() as AddressInfo;
  const opened: Gate = { url: `http://127.0.0.1:${port}`, calls: () => calls, handle };
  return opened;
}

/** Forwards a call; `headers` replaces those of the reply. */
function pass(incoming: IncomingMessage, outgoing: ServerResponse, headers: Record<string, string>): void {
  const target = new URL(incoming.url ?? '/', world.url);
  const forwarded = request(target, { method: incoming.method, headers: incoming.headers }, (reply) => {
    outgoing.writeHead(reply.statusCode ?? 502, { ...reply.headers, ...headers });
    reply.pipe(outgoing);
  });
  forwarded.on('error', () => outgoing.destroy());
  incoming.pipe(forwarded);
}

const honest: Handle = (_incoming, _outgoing, forward) => forward();
const hanging: Handle = (incoming) => void incoming.resume();
const busy: Handle = (incoming, outgoing) => {
  incoming.resume().on('end', () => outgoing.writeHead(429, { 'retry-after': '60' }).end('slow down'));
};
const lagging: Handle = (incoming, outgoing) =>
  pass(incoming, outgoing, { 'x-sui-checkpoint-height': '0', 'x-sui-timestamp-ms': '0' });

function open(urls: readonly string[], options: { readonly timeoutMs?: number } = {}) {
  return createChainClient({
    endpoints: urls,
    deployment: world.deployment,
    clock: systemClock,
    timeoutMs: 4_000,
    ...options,
  });
}

const statusOf = (all: readonly EndpointStatus[], { url }: Gate) => all.find((one) => one.url === url);

describe('of three endpoints', () => {
  test('one hangs, one asks to wait, one lags: every read and every stake succeeds, and the status says why', async () => {
    const [hangs, asksToWait, lags] = await Promise.all([gate(hanging), gate(busy), gate(lagging)]);
    const client = open([hangs.url, asksToWait.url, lags.url]);
    for (let round = 0; round < 5; round += 1) await client.cluster();
    const wallet = await world.wallet();
    const chain = createStakeChain({
      client,
      wallet,
      journal: await world.journal(wallet),
      log: silentLog,
    });
    const { objectId } = await chain.join({
      nodeId: 'through-a-poor-pool',
      stakeMist: SUI,
      holderKey: new Uint8Array(32).fill(7),
    });
    expect((await client.records([objectId])).get(objectId)).toMatchObject({ stakeMist: SUI });
    expect(asksToWait.calls()).toBe(1);
    const status = client.endpoints.status();
    expect(statusOf(status, asksToWait)).toMatchObject({ state: 'blocked', failures: 1 });
    expect(statusOf(status, asksToWait)?.blockedForMs).toBeGreaterThan(30_000);
    expect(statusOf(status, lags)).toMatchObject({ checkpointHeight: 0n, chainId: world.deployment.chainId });
  });

  test('a lagging one is seen beside a good one, and the good one is preferred', async () => {
    const [good, lags] = await Promise.all([gate(honest), gate(lagging)]);
    const client = open([good.url, lags.url]);
    await client.cluster();
    good.handle = (_incoming, outgoing) => void outgoing.destroy();
    await client.cluster();
    good.handle = honest;
    const status = statusOf(client.endpoints.status(), lags);
    expect(status).toMatchObject({ state: 'lagging' });
    expect(status?.lagMs).toBeGreaterThan(15_000);
  });

  test('the only one asks to wait: it is left alone, and the error says so', async () => {
    const asksToWait = await gate(busy);
    const client = open([asksToWait.url]);
    await expect(client.cluster()).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
    await expect(client.cluster()).rejects.toThrow('asked to wait (Retry-After)');
    expect(asksToWait.calls()).toBe(1);
  });

  test('a transaction goes to several: one that keeps it to itself delays nothing', async () => {
    const keeps = await gate((incoming, outgoing, forward) =>
      incoming.url?.endsWith('/ExecuteTransaction') ? hanging(incoming, outgoing, forward) : forward(),
    );
    const good = await gate(honest);
    const client = open([keeps.url, good.url], { timeoutMs: 60_000 });
    const wallet = await world.wallet();
    const journal = await world.journal(wallet);
    const chain = createStakeChain({ client, wallet, journal, log: silentLog });
    const { objectId } = await chain.stakeForNode({ nodeId: 'kept-back', stakeMist: SUI });
    expect(await world.client.liveRecordOf('kept-back')).toBe(objectId);
  });

  test('one that serves what the validators did not sign is named and not asked again', async () => {
    const liar = await startChainWorld();
    life.defer('liar', () => liar[Symbol.asyncDispose]());
    const { endpoints } = await openNetwork([liar.url], { clock: systemClock });
    const trust = await currentPin(endpoints);
    const dropped: Array<string | undefined> = [];
    const other = await gate((incoming, outgoing) => {
      const target = new URL(incoming.url ?? '/', liar.url);
      const forwarded = request(target, { method: incoming.method, headers: incoming.headers }, (reply) => {
        outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(outgoing);
      });
      incoming.pipe(forwarded);
    });
    const client = createChainClient({
      endpoints: [liar.url, other.url],
      deployment: { ...liar.deployment, trust },
      clock: systemClock,
      onUnproven: ({ contradictedBy }) => dropped.push(contradictedBy),
    });
    await client.cluster();
    const stored = liar.devnet.ledger.objects.get(liar.deployment.clusterId) as MoveObject;
    const contents = Uint8Array.from(stored.contents);
    contents.set([contents[40] === 0 ? 1 : 0], 40);
    liar.devnet.ledger.objects.put(withDigest({ ...stored, version: stored.version + 1n, contents }));
    await expect(client.cluster()).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
    expect(dropped).toContain(liar.url);
    expect(client.endpoints.status()[0]).toMatchObject({
      url: liar.url,
      state: 'contradicted',
      contradiction: expect.stringContaining(liar.deployment.clusterId),
    });
  });
});

test('when no endpoint answers, the error says what each of them said', async () => {
  const broken: Handle = (incoming, outgoing) => {
    incoming.resume().on('end', () => outgoing.writeHead(502).end('bad gateway'));
  };
  const refusing: Handle = (incoming, outgoing) => {
    incoming.resume().on('end', () => outgoing.writeHead(401).end('who are you'));
  };
  const [first, second] = await Promise.all([gate(broken), gate(refusing)]);
  const failure = open([first.url, second.url], { timeoutMs: 2_000 }).cluster();
  await expect(failure).rejects.toMatchObject({ isRetryable: true });
  const { message } = (await failure.catch((error: unknown) => error)) as Error;
  expect(message).toContain(`${first.url} could not be asked`);
  expect(message).toContain(`${second.url} does not answer`);
});
