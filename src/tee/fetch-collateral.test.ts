import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { Lifetime } from '#base';
import { pemOf } from './certificate.ts';
import { devQuote } from './dev-intel.ts';
import { devSnp } from './dev-snp.ts';
import type { CollateralItem, Evidence } from './evidence.ts';
import { formatCollateral, formatEvidence, parseCollateral, parseEvidence } from './evidence-file.ts';
import { fetchCollateral } from './fetch-collateral.ts';
import { ANYTHING } from './policy.fixture.ts';
import { devPolicy, NOW } from './trial.fixture.ts';
import { verify } from './verify.ts';

interface Served {
  readonly body: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A vendor's service on loopback that knows some paths. */
async function vendor(life: Lifetime, replies: Readonly<Record<string, Served>>) {
  const asked: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    asked.push(request.url ?? '');
    const reply = replies[request.url ?? ''];
    response.writeHead(reply ? 200 : 404, reply?.headers).end(reply?.body ?? 'not here');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  life.defer('vendor', () => new Promise<void>((resolve) => server.close(() => resolve())));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const services = { amd: base, intel: base, intelRootCrl: `${base}/root.crl` };
  return { asked, options: { services, nowMs: NOW, signal: AbortSignal.timeout(10_000) } };
}

const contents = (items: readonly CollateralItem[], name: string) =>
  items.filter((item) => item.name === name).map(({ content }) => content);

test('what AMD publishes for a report is fetched, kept as a file, and makes the report pass', async () => {
  const life = new Lifetime();
  try {
    const { root, ...evidence } = await devSnp({ nowMs: NOW, product: 'Turin' });
    const [vcek, ask, ark] = contents(evidence.collateral, 'certificate') as [Buffer, Buffer, Buffer];
    const [crl] = contents(evidence.collateral, 'crl') as [Buffer];
    const path = '/vcek/v1/Turin/0102030405060708?fmcSPL=1&blSPL=4&teeSPL=0&snpSPL=23&ucodeSPL=213';
    const { options } = await vendor(life, {
      [path]: { body: vcek },
      '/vcek/v1/Turin/cert_chain': { body: pemOf(ask) + pemOf(ark) },
      '/vcek/v1/Turin/crl': { body: crl },
    });
    const fetched = await fetchCollateral(evidence, options);
    const kept = parseCollateral(Buffer.from(formatCollateral(fetched)), 'the test');
    expect(kept.map(({ fetchedAtMs }) => fetchedAtMs)).toEqual([NOW, NOW, NOW, NOW]);
    const policy = devPolicy('sev-snp', ANYTHING['sev-snp'], root, 'platform only');
    expect(verify({ ...evidence, collateral: kept }, policy, { nowMs: NOW }).reasons).toEqual([]);
  } finally {
    await life.close();
  }
});

test('a VLEK comes from the host alone; AMD publishes what is above it', async () => {
  const life = new Lifetime();
  try {
    const { root, ...evidence } = await devSnp({ nowMs: NOW, signer: 'VLEK' });
    const [vlek, asvk, ark] = contents(evidence.collateral, 'certificate') as [Buffer, Buffer, Buffer];
    const [crl] = contents(evidence.collateral, 'crl') as [Buffer];
    const { options, asked } = await vendor(life, {
      '/vlek/v1/Milan/cert_chain': { body: pemOf(asvk) + pemOf(ark) },
      '/vlek/v1/Milan/crl': { body: crl },
    });
    await expect(fetchCollateral({ ...evidence, collateral: [] }, options)).rejects.toThrow(
      /certificate-missing, the host hands out the VLEK/,
    );
    expect(asked).toEqual([]);
    const handed: CollateralItem[] = [{ name: 'certificate', content: vlek }];
    const collateral = await fetchCollateral({ ...evidence, collateral: handed }, options);
    const policy = devPolicy('sev-snp', ANYTHING['sev-snp'], root, 'platform only');
    expect(verify({ ...evidence, collateral }, policy, { nowMs: NOW }).reasons).toEqual([]);
  } finally {
    await life.close();
  }
});

test.each([
  [3, 'sgx'],
  [5, 'tdx'],
] as const)(
  'what Intel publishes for a quote of version %i is fetched, and makes the quote pass',
  async (version, tee) => {
    const life = new Lifetime();
    try {
      const { root, ...evidence } = await devQuote({ nowMs: NOW, version });
      const [tcb, identity, rootCrl, pckCrl] = evidence.collateral as [
        CollateralItem,
        CollateralItem,
        CollateralItem,
        CollateralItem,
      ];
      const chain = encodeURIComponent(tcb.issuerChain ?? '');
      const { options } = await vendor(life, {
        [`/${tee}/certification/v4/tcb?fmspc=00606a000000`]: {
          body: tcb.content,
          headers: { 'TCB-Info-Issuer-Chain': chain },
        },
        [`/${tee}/certification/v4/qe/identity`]: {
          body: identity.content,
          headers: { 'SGX-Enclave-Identity-Issuer-Chain': chain },
        },
        '/sgx/certification/v4/pckcrl?ca=platform&encoding=der': { body: pckCrl.content },
        '/root.crl': { body: rootCrl.content },
      });
      const collateral = await fetchCollateral(evidence, options);
      const policy = devPolicy(tee, ANYTHING[tee], root, 'platform only');
      expect(verify({ ...evidence, collateral }, policy, { nowMs: NOW }).reasons).toEqual([]);
    } finally {
      await life.close();
    }
  },
);

test('a service that does not have it is named, and may be asked again', async () => {
  const life = new Lifetime();
  try {
    const evidence = await devSnp({ nowMs: NOW });
    const { options } = await vendor(life, {});
    await expect(fetchCollateral(evidence, options)).rejects.toMatchObject({
      code: 'DAAS_TEE_COLLATERAL_UNREACHABLE',
      isRetryable: true,
      message: expect.stringMatching(/\/vcek\/v1\/Milan\/.*: it replied 404/) as string,
    });
  } finally {
    await life.close();
  }
});

test('a reply without end is given up', async () => {
  const life = new Lifetime();
  try {
    const evidence = await devQuote({ nowMs: NOW });
    const { options } = await vendor(life, {
      '/tdx/certification/v4/tcb?fmspc=00606a000000': { body: Buffer.alloc(4_194_305) },
    });
    await expect(fetchCollateral(evidence, options)).rejects.toThrow(/longer than 4194304 bytes/);
  } finally {
    await life.close();
  }
});

test.each([
  ['a certificate that is none', '%zz', 'cannot be read'],
  ['no certificate', 'nothing', 'has no certificates'],
  ['more certificates than a chain has', encodeURIComponent(pemOf(Buffer.of(1)).repeat(9)), 'cannot be read'],
])('a service whose header has %s is named', async (_what, header, message) => {
  const life = new Lifetime();
  try {
    const evidence = await devQuote({ nowMs: NOW });
    const reply = { body: '{}', headers: { 'TCB-Info-Issuer-Chain': header } };
    const { options } = await vendor(life, {
      '/tdx/certification/v4/tcb?fmspc=00606a000000': reply,
      '/tdx/certification/v4/qe/identity': reply,
      '/sgx/certification/v4/pckcrl?ca=platform&encoding=der': reply,
      '/root.crl': reply,
    });
    await expect(fetchCollateral(evidence, options)).rejects.toMatchObject({
      code: 'DAAS_TEE_COLLATERAL_UNREACHABLE',
      message: expect.stringContaining(message) as string,
    });
  } finally {
    await life.close();
  }
});

test('for a quote or a report that cannot be read nothing is asked, and the reason is said', async () => {
  const life = new Lifetime();
  try {
    const { asked, options } = await vendor(life, {});
    for (const kind of ['tdx', 'sgx', 'sev-snp'] as const)
      await expect(
        fetchCollateral({ kind, bytes: Buffer.alloc(64), collateral: [] }, options),
      ).rejects.toMatchObject({ code: 'DAAS_TEE_EVIDENCE_REFUSED', details: { reasons: [{}] } });
    expect(asked).toEqual([]);
  } finally {
    await life.close();
  }
});

test('evidence survives its file, and is read from bytes, hexadecimal and base64 alike', async () => {
  const { root: _, ...evidence } = await devSnp({ nowMs: NOW });
  const again = parseEvidence(Buffer.from(formatEvidence(evidence)), 'the test');
  expect(again).toMatchObject({
    kind: 'sev-snp',
    collateral: evidence.collateral.map(({ content }) => ({ content })),
  });
  const forms: readonly Buffer[] = [
    Buffer.from(evidence.bytes),
    Buffer.from(Buffer.from(evidence.bytes).toString('hex')),
    Buffer.from(Buffer.from(evidence.bytes).toString('base64')),
  ];
  for (const form of forms) {
    const read: Evidence = parseEvidence(form, 'the test');
    expect(read.kind).toBe('sev-snp');
    expect(Buffer.from(read.bytes).equals(Buffer.from(evidence.bytes))).toBe(true);
  }
});
