import { expect, test } from 'vitest';
import type { WhyReply } from '#gateway';
import { whyText, withEvidenceAdvice } from './gateway-why.ts';

const record = `0x${'ab'.repeat(32)}`;
const reply: WhyReply = {
  timestamp: 1_000_000,
  node_id: 'worker-3',
  summary: 'it is out: evicted (slashed)',
  worker: null,
  facts: {
    kind: 'stake_slashed',
    certain: true,
    age_ms: 3_000,
    heard_ms: 900,
    live_record: null,
    live_record_error: null,
  },
  token: null,
  credential: { id: 'abcdef', expires_at: 1_090_000 },
  bans: [{ subject: 'node_id', value: 'worker-3', reason: 'slashed', since: 0, stake_record: record }],
  policy: { listing: null, read: true },
  claim: {
    node_id: 'worker-3',
    at: 940_000,
    credentials: ['abcdef of worker-1'],
    other_credentials: 0,
    effect: 'closed',
    until: 0,
  },
  password: 'foreign',
  evidence: null,
  vouches: [{ identity: 'kubelet', fingerprint: 'cd'.repeat(32), not_after: 0 }],
  node: { uid: 'u', ready: false, stake_record: record, held_for: 'slashed', created_at: 940_000 },
  decisions: [
    {
      at: '2027-01-01T00:00:00.000Z',
      event: 'eviction.done',
      facts: { stake_record: record, reason: 'slashed', more: null },
    },
  ],
  lets_it_in: [{ by: 'operator', what: 'lift the ban', command: 'k3s-daas gateway unban worker-3' }],
};

test('everything is on one screen, long ids are shortened, and what to do comes last', () => {
  const text = whyText(reply);
  expect(text.split('\n').length).toBeLessThan(25);
  expect(text).toContain('worker-3: it is out: evicted (slashed)');
  expect(text).toContain('stake_slashed (signed by validators), confirmed 3 s ago; chain heard 0 s ago');
  expect(text).toContain('not admitted: no Node may be created under this name');
  expect(text).toContain('a Secret that is not this gateway’s reserves the name');
  expect(text).toContain('60 s ago, while abcdef of worker-1 lived: closed to new stakes');
  expect(text).toContain('abcdef, ends in 90 s');
  expect(text).toContain('kubelet cdcdcdcdcdcdcdcd…, until 1970');
  expect(text).toContain('not Ready, 60 s old, gets no new pods (slashed)');
  expect(text).toContain('eviction.done  stake_record=0xabababab… reason=slashed');
  expect(text.trimEnd()).toMatch(/operator {2}lift the ban {2}k3s-daas gateway unban worker-3$/);
});

test('a node that lacks nothing says so, and a gateway without vouching prints no certificates', () => {
  const text = whyText({
    ...reply,
    vouches: null,
    decisions: [],
    lets_it_in: [],
    credential: null,
    node: null,
  });
  expect(text).toContain('nothing keeps it out');
  expect(text).not.toContain('certificates');
  expect(text).toContain('none in the newest part of the audit file');
});

test('evidence that keeps a node out says what to do, and who can do it', async () => {
  const evidence = {
    problem: 'it is refused',
    checks: ['tcb-outdated', 'attestation-key-changed'],
    keeps_out: true,
  };
  const advised = await withEvidenceAdvice({ ...reply, evidence });
  expect(advised.lets_it_in.slice(reply.lets_it_in.length)).toMatchObject([
    { by: 'staker', what: expect.stringMatching(/^update firmware/) as string, command: null },
    { by: 'operator', command: 'k3s-daas gateway release worker-3' },
  ]);
  expect(whyText(advised)).toContain('it is refused: tcb-outdated, attestation-key-changed');
  const missing = { problem: 'it shows no evidence of its machine', checks: [], keeps_out: true };
  const { lets_it_in: last } = await withEvidenceAdvice({ ...reply, lets_it_in: [], evidence: missing });
  expect(last).toMatchObject([
    { by: 'staker', what: expect.stringContaining('attestation.evidence') as string },
  ]);
});

test('evidence that was recorded keeps nobody out, and what would make it count is said so', async () => {
  const evidence = {
    problem: 'its evidence is refused: crl-expired: too old',
    checks: ['crl-expired'],
    keeps_out: false,
  };
  const advised = await withEvidenceAdvice({ ...reply, lets_it_in: [], evidence });
  expect(advised.lets_it_in).toMatchObject([
    {
      by: 'operator',
      what: expect.stringMatching(/^for its evidence to count: refresh/) as string,
      command: 'k3s-daas tee collateral refresh',
    },
  ]);
  expect(whyText(advised)).toContain('(recorded; it is admitted all the same)');
  expect(await withEvidenceAdvice(reply)).toBe(reply);
});
