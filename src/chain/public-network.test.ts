import { describe, expect, test } from 'vitest';
import { DEFAULT_TIERS, defaultSettings } from './cluster-settings.ts';
import { assertTermsNamed, assertTiers, isPublicNetwork } from './public-network.ts';

const MAINNET = '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S';
const LOCAL = 'C5M6PdgyhkB36uB1rvvMkZJjbnS3PvjKrv3tpoCzTHFu';

describe('a public network', () => {
  test.each([
    ['a loopback address with a chain of its own', LOCAL, ['http://127.0.0.1:9000'], false],
    ['localhost', LOCAL, ['http://localhost:9000', 'http://[::1]:9000'], false],
    ['another machine', LOCAL, ['http://10.0.0.7:9000'], true],
    [
      'one endpoint of several on another machine',
      LOCAL,
      ['http://127.0.0.1:9000', 'https://node.example'],
      true,
    ],
    ['mainnet behind a local full node', MAINNET, ['http://127.0.0.1:9000'], true],
    ['a name that only begins like loopback', LOCAL, ['http://127.0.0.1.example'], true],
  ])('%s', (_what, chainId, urls, isPublic) => {
    expect(isPublicNetwork(chainId, urls)).toBe(isPublic);
  });
});

describe('tiers below 1 SUI', () => {
  const onTestnet = { chainId: LOCAL, urls: ['https://fullnode.testnet.sui.io:443'] };

  test('are refused where a faucet would buy everything, and the sentence names the flag', () => {
    expect(() => assertTiers({ tiers: DEFAULT_TIERS }, onTestnet)).toThrow(
      expect.objectContaining({ code: 'DAAS_TIERS_TOO_LOW', exitCode: 78 }),
    );
    expect(() => assertTiers({ tiers: DEFAULT_TIERS }, onTestnet)).toThrow('--allow-tiny-tiers');
  });

  test('are refused by one MIST', () => {
    const tiers = DEFAULT_TIERS.map((tier, index) => ({
      ...tier,
      stakeMist: 1_000_000_000n * BigInt(index + 1),
    }));
    expect(() => assertTiers({ tiers }, onTestnet)).not.toThrow();
    const [first, ...rest] = tiers;
    expect(() =>
      assertTiers(
        { tiers: [{ permissions: first?.permissions ?? [], stakeMist: 999_999_999n }, ...rest] },
        onTestnet,
      ),
    ).toThrow('below 1 SUI');
  });

  test('are the default on a chain of one’s own', () => {
    const own = { chainId: LOCAL, urls: ['http://127.0.0.1:9000'] };
    expect(() => assertTiers(defaultSettings(`0x${'1'.repeat(64)}`), own)).not.toThrow();
  });
});

test('consent to whatever the terms are is refused on a public network, and the sentence says what to give', () => {
  const judge = (acceptTerms: string | undefined, chainId: string, url: string) => () =>
    assertTermsNamed(acceptTerms, { chainId, urls: [url] }, '--accept-terms');
  expect(judge('any', MAINNET, 'http://127.0.0.1:9000')).toThrow(
    expect.objectContaining({
      code: 'DAAS_TERMS_ANY_REFUSED',
      exitCode: 78,
      message: expect.stringContaining('cluster show'),
    }),
  );
  expect(judge('any', LOCAL, 'https://node.example')).toThrow(/public network/);
  judge('any', LOCAL, 'http://127.0.0.1:9000')();
  judge('0123456789abcdef0123456789abcdef', MAINNET, 'https://node.example')();
  judge(undefined, MAINNET, 'https://node.example')();
});
