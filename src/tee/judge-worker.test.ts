import { expect, test } from 'vitest';
import { devSnp } from './dev-snp.ts';
import { devTpm } from './dev-tpm.ts';
import type { Evidence } from './evidence.ts';
import { judgeWorker, type WorkerVerdict } from './judge-worker.ts';
import { ANYTHING, policyOf } from './policy.fixture.ts';
import { tpmExtraDataOf, workerReportDataOf } from './report-data.ts';
import { devPolicy, NOW } from './trial.fixture.ts';
import { verify } from './verify.ts';

const REGISTRATION = {
  nodeKey: Buffer.alloc(32, 1),
  nodeId: 'worker-1',
  gatewayId: '0xg',
  chainId: 'chain',
  nonce: 'nonce',
};
const reportData = workerReportDataOf(REGISTRATION);
const firstSeen = policyOf({ tpm: { attestationKeys: 'first-seen', measurements: 'any' } });
const tpm = () => devTpm({ extraData: tpmExtraDataOf(reportData) });
const judged = (evidence: Evidence, boundKey: string | undefined, policy = firstSeen): WorkerVerdict =>
  judgeWorker(evidence, { policy, nowMs: NOW, reportData, boundKey });
const checks = ({ reasons }: WorkerVerdict) => reasons.map(({ check }) => check);

test('the first TPM that a stake record shows is taken where the policy says so, and the record is bound to its key', () => {
  const evidence = tpm();
  expect(judged(evidence, undefined)).toMatchObject({
    accepted: true,
    isBound: true,
    attestationKey: evidence.keyName,
  });
  expect(judged(evidence, evidence.keyName).accepted).toBe(true);
});

test('a copy of the disk in another machine has another TPM, and is refused, whether the policy names that one or not', () => {
  const [own, other] = [tpm(), tpm()];
  expect(checks(judged(other, own.keyName))).toEqual(['attestation-key-changed']);
  const named = policyOf({ tpm: { attestationKeys: [own.keyName, other.keyName], measurements: 'any' } });
  expect(checks(judged(other, undefined, named))).toEqual([]);
  expect(checks(judged(other, own.keyName, named))).toEqual(['attestation-key-changed']);
});

test('a record that is bound to a TPM is not taken with evidence of another kind', async () => {
  const evidence = await devSnp({ nowMs: NOW, reportData });
  const policy = devPolicy('sev-snp', ANYTHING['sev-snp'], evidence.root, 'platform only');
  expect(judged(evidence, undefined, policy)).toMatchObject({ accepted: true, attestationKey: undefined });
  expect(checks(judged(evidence, tpm().keyName, policy))).toEqual(['attestation-key-changed']);
});

test.each([
  ['node key', { nodeKey: Buffer.alloc(32, 2) }],
  ['node id', { nodeId: 'worker-2' }],
  ['gateway', { gatewayId: '0xh' }],
  ['chain', { chainId: 'another' }],
  ['challenge', { nonce: 'earlier' }],
])('evidence that was made for another %s is refused', (_, change) => {
  const evidence = devTpm({ extraData: tpmExtraDataOf(workerReportDataOf({ ...REGISTRATION, ...change })) });
  expect(checks(judged(evidence, undefined))).toEqual(['report-data-mismatch']);
});

test('a gateway is not accepted by a key that is merely the first one seen', () => {
  expect(verify(tpm(), firstSeen, { nowMs: NOW }).reasons).toMatchObject([
    { check: 'attestation-key-unknown' },
  ]);
});

test('what a software key claims without the attributes of a TPM key is refused on first sight, too', () => {
  const evidence = devTpm({ extraData: tpmExtraDataOf(reportData), attributes: 0x0004_0072 });
  expect(checks(judged(evidence, undefined))).toEqual(['key-attributes']);
});
