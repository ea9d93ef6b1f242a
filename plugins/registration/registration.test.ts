import { createHash } from 'node:crypto';
import { DaasError, gatewayErrorCode, JoinCredentialSource, type SealedStake } from 'k3s-daas/plugin';
import {
  describePlugin,
  FakeClock,
  FakeStakeChain,
  fakeGatewayEntry,
  fakeIdentity,
  loadPlugin,
  unreachable,
} from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import { gatewayOrder } from './gateways.ts';
import registration from './index.ts';

const signal = new AbortController().signal;
type Loaded = Awaited<ReturnType<typeof loadPlugin>>;

describePlugin(registration, test, {
  badConfigs: [
    { gatewayUrl: 'http://plain.example.com' },
    { gatewayUrl: 'https://two.example.com:8443/' },
    { gatewayUrl: 'https://user:pw@two.example.com:8443' },
    { gatewayUrl: 5 },
    { url: 'https://a' },
  ],
  exercise: (loaded) => loaded.provided(JoinCredentialSource).preflight(signal),
});

async function load(config: unknown = {}): Promise<{ loaded: Loaded; stake: SealedStake }> {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  chain.gateways = [fakeGatewayEntry('one'), fakeGatewayEntry('two')];
  const recordId = chain.addRecord({ nodeId: 'worker-1', stakeMist: 5000n });
  const tokenId = chain.addToken(recordId, fakeIdentity().holderKey);
  const loaded = await loadPlugin(registration, { config, services: { clock, chain } });
  return { loaded, stake: { recordId, tokenId, stakeMist: 5000n } };
}
const register = (loaded: Loaded, stake: SealedStake) =>
  loaded.provided(JoinCredentialSource).register(stake, signal);
const urls = (loaded: Loaded, what: string) =>
  loaded.gateways.calls.filter((call) => call.startsWith(what)).map((call) => call.split(' ')[1]);

test('it challenges, registers, tells of it, and leaves no connection open', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  const result = await register(loaded, stake);
  expect(result.join?.server).toBe('https://server.example.com:6443');
  const gateway = loaded.chain.gateways.find((entry) => entry.url === urls(loaded, 'register')[0]);
  expect(loaded.facts('worker.registered')).toEqual([
    {
      nodeId: 'worker-1',
      recordId: stake.recordId,
      sealTokenId: stake.tokenId,
      gatewayId: gateway?.id,
      gatewayUrl: gateway?.url,
      gatewayTier: 'basic',
      incarnation: 1,
      heartbeatIntervalMs: 10_000,
      hasJoinCredential: true,
    },
  ]);
  expect(loaded.gateways.registrations[0]).toMatchObject({
    sealTokenId: stake.tokenId,
    nodePasswordHash: expect.stringMatching(/^\$1:/),
    challenge: { nonce: 'nonce' },
  });
  expect(loaded.gateways.open).toBe(0);
});

test('the begin and the failure of a registration are told, so that heartbeats can wait', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  loaded.gateways.fail(unreachable());
  await expect(register(loaded, stake)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_UNREACHABLE' });
  loaded.gateways.forgive();
  await register(loaded, stake);
  expect(loaded.events.map(({ event }) => event)).toEqual([
    'registration.begun',
    'registration.failed',
    'registration.begun',
    'worker.registered',
  ]);
});

test('a gateway that does not answer is passed over for the next', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  const [first] = gatewayOrder(loaded.chain.gateways, {
    tier: 'standard',
    nodeId: 'worker-1',
    preferredUrl: undefined,
  });
  loaded.gateways.fail(unreachable(), first?.url);
  await register(loaded, stake);
  expect(urls(loaded, 'register')).not.toContain(first?.url);
  expect(urls(loaded, 'challenge')).toHaveLength(2);
});

test('when none takes it, something that may pass wins over a refusal', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  const banned = new DaasError('DAAS_GATEWAY_BANNED', 'banned', { exitCode: 77 });
  const [one, two] = loaded.chain.gateways;
  loaded.gateways.fail(banned, one?.url);
  loaded.gateways.fail(unreachable(), two?.url);
  await expect(register(loaded, stake)).rejects.toMatchObject({ isRetryable: true });
  loaded.gateways.forgive();
  loaded.gateways.fail(banned);
  await expect(register(loaded, stake)).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_BANNED',
    isRetryable: false,
    exitCode: 77,
  });
});

test('a 401 without a reason may be a token not seen yet: for a while it is asked again', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  loaded.gateways.fail(new DaasError('DAAS_GATEWAY_SEAL_TOKEN_INVALID', 'not valid'));
  for (let attempt = 1; attempt < 10; attempt += 1)
    await expect(register(loaded, stake)).rejects.toMatchObject({ isRetryable: true });
  await expect(register(loaded, stake)).rejects.toMatchObject({ isRetryable: false });
});

test('before money moves the gateway is asked, and its named reason decides about the exit code', async () => {
  const { loaded } = await load();
  await using _ = loaded;
  const ask = () => loaded.provided(JoinCredentialSource).preflight(signal);
  await ask();
  expect(urls(loaded, 'register')).toEqual([]);
  loaded.gateways.inadmissible = 'name_not_ours';
  await expect(ask()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NAME_NOT_OURS', exitCode: 78 });
  loaded.gateways.inadmissible = 'banned';
  await expect(ask()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_BANNED', exitCode: 77 });
  loaded.gateways.inadmissible = 'cluster_full';
  await expect(ask()).rejects.toMatchObject({ isRetryable: true });
  loaded.gateways.inadmissible = 'something_new';
  await expect(ask()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SOMETHING_NEW', exitCode: 78 });
});

test('the configured gateway is asked first, and must be one that the chain names', async () => {
  const { loaded, stake } = await load({ gatewayUrl: 'https://TWO.example.com:8443' });
  await using _ = loaded;
  await register(loaded, stake);
  expect(urls(loaded, 'register')).toEqual(['https://two.example.com:8443']);
  const stranger = await load({ gatewayUrl: 'https://evil.example.com' });
  await using _stranger = stranger.loaded;
  await expect(register(stranger.loaded, stranger.stake)).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_NOT_ON_CHAIN',
    exitCode: 78,
  });
  expect(stranger.loaded.gateways.calls).toEqual([]);
});

test('a cluster without a live gateway may have one later', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  loaded.chain.gateways = [];
  await expect(register(loaded, stake)).rejects.toMatchObject({ code: 'DAAS_NO_GATEWAY', isRetryable: true });
});

test('gateways that are not live or above the tier are left out; nodes spread over those of one tier', () => {
  const entries = [
    fakeGatewayEntry('basic'),
    fakeGatewayEntry('premium', { tier: 'premium' }),
    fakeGatewayEntry('down', { isLive: false }),
    ...Array.from({ length: 4 }, (_value, index) =>
      fakeGatewayEntry(`standard-${index}`, { tier: 'standard' }),
    ),
  ];
  const order = (nodeId: string) =>
    gatewayOrder(entries, { tier: 'standard', nodeId, preferredUrl: undefined }).map((entry) => entry.url);
  expect(order('a')).toHaveLength(5);
  expect(order('a').at(-1)).toContain('basic');
  expect(order('a')).toEqual(order('a'));
  const firsts = new Set(
    Array.from(
      { length: 50 },
      (_value, index) => order(createHash('md5').update(`${index}`).digest('hex'))[0],
    ),
  );
  expect(firsts.size).toBe(4);
});

test('a gateway that was silent is asked last until it has rested, and first again once it answers', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  const ordered = gatewayOrder(loaded.chain.gateways, {
    tier: 'standard',
    nodeId: 'worker-1',
    preferredUrl: undefined,
  }).map(({ url }) => url);
  const [first = ''] = ordered;
  const askedSince = (count: number) => urls(loaded, 'challenge').slice(count);
  loaded.gateways.fail(unreachable(), first);
  await register(loaded, stake);
  loaded.gateways.forgive();
  const before = urls(loaded, 'challenge').length;
  await register(loaded, stake);
  expect(askedSince(before)).toEqual([ordered[1]]);
  expect(loaded.health().details.registration?.detail).toContain('did not answer');
  await loaded.clock.advance(5_000);
  const later = urls(loaded, 'challenge').length;
  await register(loaded, stake);
  expect(askedSince(later)).toEqual([first]);
});

test('gateways that are all silent are all asked, each round again', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  loaded.gateways.fail(unreachable());
  for (let round = 1; round <= 3; round += 1) {
    await expect(register(loaded, stake)).rejects.toMatchObject({ isRetryable: true });
    expect(urls(loaded, 'challenge')).toHaveLength(round * loaded.chain.gateways.length);
  }
});

test('a refusal because of a clone ends the host, or is asked again, as the host decides', async () => {
  const { loaded, stake } = await load();
  await using _ = loaded;
  loaded.gateways.fail(new DaasError(gatewayErrorCode('node_cloned'), 'cloned', { exitCode: 77 }));
  await expect(register(loaded, stake)).rejects.toMatchObject({ isRetryable: true });
  loaded.control.endsForClone = true;
  await expect(register(loaded, stake)).rejects.toMatchObject({ isRetryable: false, exitCode: 77 });
  expect(loaded.control.clones).toHaveLength(2);
});
