// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { spawn } from 'node:child_process';
import { randomBytes, webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createGatewayConnector, spkiPin } from '#api';
import { messageOf, Secret, systemClock } from '#base';
import { openNetwork } from '#chain';
import type { GatewayEntry } from '#domain';
import { createProofSigner, nodeKeyFromSeed } from '#seal';
import { type ChainWorld, startChainWorld } from './chain/chain-world.ts';
import { ConnectProxy } from './world/connect-proxy.ts';
import { FreezeProxy } from './world/freeze-proxy.ts';
import { outcomeOf } from './world/outcome.ts';

/** Names that only the proxy can find: a connection that does not go through it fails. */
const CHAIN_NAME = 'chain.daas.test';
const GATEWAY_NAME = 'gateway.daas.test';

let world: ChainWorld;
let tls: { cert: string; key: string };
let chain: FreezeProxy;
beforeAll(async () => {
  world = await startChainWorld();
  tls = await makeTls(CHAIN_NAME);
  chain = await FreezeProxy.start({ upstream: world.url, tls });
});
afterAll(async () => {
  await chain?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});
afterEach(() => {
  for (const name of ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY']) delete process.env[name];
});

const portOf = (url: string) => Number(new URL(url).port);
const proxyTo = (url: string, authorization?: string) =>
  ConnectProxy.start({ route: () => portOf(url), ...(authorization && { authorization }) });

describe('the chain', () => {
  /** The program, which reads the authority of a certificate at its start alone. */
  async function show(env: Record<string, string>): Promise<{ stdout: string; stderr: string }> {
    const authority = join(world.directory, 'authority.pem');
    await writeFile(authority, tls.cert);
    const deployment = join(world.directory, 'deployment.json');
    await writeFile(deployment, JSON.stringify(world.deployment));
    const entry = join(import.meta.dirname, '..', 'src', 'main.ts');
    const flags = ['--endpoint', `https://${CHAIN_NAME}`, '--deployment', deployment, '--json'];
    return outcomeOf(
      spawn(process.execPath, ['--conditions=source', entry, 'cluster', 'show', ...flags], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: authority, ...env },
      }),
    );
  }

  test('is read through CONNECT, by TLS from end to end', async () => {
    await using proxy = await proxyTo(chain.url);
    const { stdout, stderr } = await show({ HTTPS_PROXY: proxy.url });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ clusterId: world.deployment.clusterId });
    expect(proxy.seen.map(({ authority }) => authority)).toContain(`${CHAIN_NAME}:443`);
    expect(Buffer.concat(proxy.sent).toString('latin1')).not.toMatch(/sui\.rpc|grpc-web/);
  });

  test('a proxy that wants a user gets the one of its URL', async () => {
    const authorization = `Basic ${Buffer.from('me:pw').toString('base64')}`;
    await using proxy = await proxyTo(chain.url, authorization);
    const { stdout } = await show({ https_proxy: proxy.url.replace('//', '//me:pw@') });
    expect(JSON.parse(stdout)).toMatchObject({ clusterId: world.deployment.clusterId });
    const refused = await show({ https_proxy: proxy.url.replace('//', '//me:wrong@') });
    expect(refused.stderr).toContain('HTTP status 407');
    expect(refused.stderr).toContain(`through the proxy ${proxy.url} (https_proxy)`);
    expect(refused.stderr).not.toContain('wrong');
  });

  test('with NO_PROXY the proxy is not asked', async () => {
    await using proxy = await proxyTo(chain.url);
    const { stderr } = await show({ HTTPS_PROXY: proxy.url, NO_PROXY: '.daas.test' });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'DAAS_CHAIN_UNAVAILABLE' } });
    expect(proxy.seen).toEqual([]);
  });

  test('a certificate that the proxy shows in place of the node’s is refused', async () => {
    await using liar = await FreezeProxy.start({ upstream: world.url, tls: await makeTls(CHAIN_NAME) });
    await using proxy = await proxyTo(liar.url);
    const { stderr } = await show({ HTTPS_PROXY: proxy.url });
    expect(stderr).toContain('its certificate is not trusted');
    expect(liar.seen).toEqual([]);
  });

  test('a proxy that is away is named', async () => {
    const gone = await proxyTo(chain.url);
    await gone[Symbol.asyncDispose]();
    const environment = { HTTPS_PROXY: gone.url };
    const failure = await openNetwork([`https://${CHAIN_NAME}`], { clock: systemClock, environment }).catch(
      (error: unknown) => messageOf(error),
    );
    expect(failure).toContain(`through the proxy ${gone.url} (HTTPS_PROXY): the connection was refused`);
  });
});

describe('the gateway', () => {
  const signer = createProofSigner('worker-1', nodeKeyFromSeed(new Secret(randomBytes(32).toString('hex'))));
  const gatewayAt = (url: string, cert: string): GatewayEntry => ({
    id: `0x${'a'.repeat(64)}`,
    url,
    tlsPins: [spkiPin(cert)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32),
    tier: 'basic',
    isLive: true,
  });
  const challenge = async (gateway: GatewayEntry) => {
    const connector = createGatewayConnector({ signer, clock: systemClock, timeoutMs: 5_000 });
    await using connection = connector.connect(gateway);
    return connection.challenge({ nodeId: 'worker-1', staker: '0x1' }).catch((error: unknown) => error);
  };

  test('is reached through CONNECT, and the pin is held against its own key', async () => {
    // What answers is no gateway: that its answer came is enough.
    await using behind = await FreezeProxy.start({ upstream: world.url, tls });
    await using proxy = await proxyTo(behind.url);
    process.env.HTTPS_PROXY = proxy.url;
    const pinned = gatewayAt(`https://${GATEWAY_NAME}:8443`, tls.cert);
    expect(await challenge(pinned)).toMatchObject({ code: 'DAAS_GATEWAY_REPLY_INVALID' });
    expect(proxy.seen).toEqual([{ authority: `${GATEWAY_NAME}:8443`, authorization: undefined }]);
    expect(behind.seen).toHaveLength(1);
    expect(Buffer.concat(proxy.sent).toString('latin1')).not.toContain('node_id');
  });

  test('a proxy that opens the TLS itself gets not one request', async () => {
    await using liar = await FreezeProxy.start({ upstream: world.url, tls: await makeTls(GATEWAY_NAME) });
    await using proxy = await proxyTo(liar.url);
    process.env.HTTPS_PROXY = proxy.url;
    expect(await challenge(gatewayAt(`https://${GATEWAY_NAME}:8443`, tls.cert))).toMatchObject({
      code: 'DAAS_GATEWAY_PIN_MISMATCH',
    });
    expect(liar.seen).toEqual([]);
  });

  test('a proxy that refuses is named, with its answer', async () => {
    await using proxy = await ConnectProxy.start({ route: () => undefined });
    process.env.HTTPS_PROXY = proxy.url;
    const failure = await challenge(gatewayAt(`https://${GATEWAY_NAME}:8443`, tls.cert));
    expect(failure).toMatchObject({ code: 'DAAS_GATEWAY_UNREACHABLE', isRetryable: true });
    expect(messageOf(failure)).toContain(
      `the proxy ${proxy.url} (HTTPS_PROXY) opens no connection to ${GATEWAY_NAME}:8443: HTTP status 502`,
    );
  });
});

async function makeTls(name: string): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    cert: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
}
