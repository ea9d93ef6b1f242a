import { describe, expect, test } from 'vitest';
import { signerIndexes } from './bitmap.ts';
import { nextCommittee, prepareCheckpoint, verifyCheckpoint } from './certificate.ts';
import { type Committee, createCommittee, KeyCache } from './committee.ts';
import { Committees, committeeOfPin } from './committees.ts';
import { digestOf } from './digest.ts';
import { ProofError, type ProofReason } from './proof-error.ts';
import {
  bitmap,
  certificate,
  OBJECT_ID,
  signedCheckpoint,
  signedWrite,
  signingCommittee,
} from './signed-chain.fixture.ts';
import { verifyTransaction } from './transaction-proof.ts';
import {
  certified,
  type FollowVector,
  fromHex,
  haveVectors,
  type MainnetVector,
  type TestNetworkVector,
  vector,
} from './vectors.fixture.ts';
import { readSummary } from './wire.ts';

const real = haveVectors ? describe : describe.skip;
const HAD_BY = 'K3S_DAAS_TEST_SUI_VECTORS';

function reasonOf(action: () => unknown): ProofReason | 'accepted' {
  try {
    action();
  } catch (error) {
    if (error instanceof ProofError) return error.reason;
    throw error;
  }
  return 'accepted';
}

/** Committees after a pin to the last checkpoint of the epoch before this committee's. */
function committeesOf(committee: ReturnType<typeof signingCommittee>): Committees {
  const before = signingCommittee(committee.epoch - 1n, [10_000n], 99);
  const { summary } = signedCheckpoint(before, { next: committee });
  const pin = { epoch: Number(before.epoch), checkpoint: digestOf('CheckpointSummary', summary) };
  return new Committees([committeeOfPin(pin, summary)]);
}

describe('a certificate', () => {
  const committee = signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n]);

  test('of all validators, or of two thirds of the voting power, is accepted', () => {
    expect(verifyCheckpoint(committee, signedCheckpoint(committee)).epoch).toBe(3n);
    expect(verifyCheckpoint(committee, signedCheckpoint(committee, { signers: [0, 2, 3] })).height).toBe(30n);
  });

  test('below two thirds of the voting power is refused', () => {
    expect(
      reasonOf(() => verifyCheckpoint(committee, signedCheckpoint(committee, { signers: [0, 1] }))),
    ).toBe('no-quorum');
    const edge = signingCommittee(3n, [6_666n, 3_334n]);
    expect(reasonOf(() => verifyCheckpoint(edge, signedCheckpoint(edge, { signers: [0] })))).toBe(
      'no-quorum',
    );
    const enough = signingCommittee(3n, [6_667n, 3_333n]);
    expect(reasonOf(() => verifyCheckpoint(enough, signedCheckpoint(enough, { signers: [0] })))).toBe(
      'accepted',
    );
  });

  test('that names more signers than have signed is refused', () => {
    const { summary } = signedCheckpoint(committee);
    const two = certificate(committee, summary, [0, 1]);
    const claimed = Uint8Array.from([...two.subarray(0, 56), 24, ...bitmap([0, 1, 2, 3])]);
    expect(reasonOf(() => verifyCheckpoint(committee, { summary, signature: claimed }))).toBe(
      'signature-invalid',
    );
  });

  test('of another committee of the same epoch is refused', () => {
    const foreign = signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n], 2);
    expect(reasonOf(() => verifyCheckpoint(committee, signedCheckpoint(foreign)))).toBe('signature-invalid');
  });

  test('of another epoch is refused', () => {
    const later = signingCommittee(4n, [2_500n, 2_500n, 2_500n, 2_500n]);
    expect(reasonOf(() => verifyCheckpoint(committee, signedCheckpoint(later)))).toBe('wrong-epoch');
  });

  test('that names a validator who is not there is refused', () => {
    const { summary, signature } = signedCheckpoint(committee);
    const wrong = Uint8Array.from([...signature.subarray(0, 56), 24, ...bitmap([0, 1, 2, 4])]);
    expect(reasonOf(() => verifyCheckpoint(committee, { summary, signature: wrong }))).toBe('bitmap-invalid');
  });

  test('with a signature that is no point, or the point at infinity, is refused', () => {
    const { summary, signature } = signedCheckpoint(committee);
    const nonsense = Uint8Array.from(signature).fill(0xff, 8, 56);
    expect(reasonOf(() => verifyCheckpoint(committee, { summary, signature: nonsense }))).toBe(
      'signature-invalid',
    );
    const infinity = Uint8Array.from(signature).fill(0, 8, 56);
    infinity[8] = 0xc0;
    expect(reasonOf(() => verifyCheckpoint(committee, { summary, signature: infinity }))).toBe(
      'signature-invalid',
    );
  });

  test('is not read when it is larger than its kind can be', () => {
    const { summary } = signedCheckpoint(committee);
    const signature = new Uint8Array(5_000);
    expect(reasonOf(() => prepareCheckpoint(committee, { summary, signature }))).toBe('too-large');
    expect(
      reasonOf(() => prepareCheckpoint(committee, { summary: new Uint8Array(300_000), signature })),
    ).toBe('too-large');
  });
});

describe('a committee', () => {
  const good = signingCommittee(1n, [5_000n, 5_000n]);
  const [first, second] = good.members;

  test.each([
    ['no members', []],
    ['keys out of order', [second, first]],
    ['the same key twice', [first, first]],
    [
      'a member without voting power',
      [
        { ...first, votingPower: 0n },
        { ...second, votingPower: 10_000n },
      ],
    ],
    ['too little voting power in all', [{ ...first, votingPower: 4_999n }, second]],
    ['a key of the wrong length', [{ ...first, publicKey: new Uint8Array(95) }, second]],
  ])('with %s is refused', (_, members) => {
    expect(reasonOf(() => createCommittee(1n, members as Committee['members']))).toBe('committee-invalid');
  });

  test('with the point at infinity as a key signs nothing', () => {
    const infinity = new Uint8Array(96);
    infinity[0] = 0xc0;
    expect(reasonOf(() => new KeyCache().point(infinity))).toBe('committee-invalid');
    expect(reasonOf(() => new KeyCache().point(new Uint8Array(96).fill(0x11)))).toBe('committee-invalid');
  });

  test('keeps as many parsed keys as it was told, however many it saw', () => {
    const keys = new KeyCache(1);
    const parsed = keys.point(first?.publicKey ?? new Uint8Array());
    keys.point(second?.publicKey ?? new Uint8Array());
    expect(keys.point(first?.publicKey ?? new Uint8Array())).not.toBe(parsed);
  });
});

describe('a signer map', () => {
  test('is read from an array and from runs', () => {
    expect(signerIndexes(bitmap([0, 3, 70]))).toEqual([0, 3, 70]);
    const runs = Uint8Array.from([0x3b, 0x30, 0, 0, 1, 0, 0, 3, 0, 2, 0, 1, 0, 1, 0, 9, 0, 1, 0]);
    expect(signerIndexes(runs)).toEqual([1, 2, 9, 10]);
  });

  test.each([
    ['with bytes left over', [...bitmap([0, 1]), 0]],
    ['that ends early', [...bitmap([0, 1]).subarray(0, 18)]],
    ['with two signers out of order', [...bitmap([1, 0])]],
    ['with one signer twice', [...bitmap([1, 1])]],
    ['with an offset that points elsewhere', Array.from(bitmap([0, 1]).with(12, 17))],
    ['with run flags of containers that are not there', [0x3b, 0x30, 0, 0, 3, 0, 0, 0, 0, 0, 0]],
    ['of another format', [1, 2, 3, 4, 5, 6, 7, 8]],
    ['of two containers', [0x3a, 0x30, 0, 0, 2, 0, 0, 0]],
    ['of no bytes', []],
  ])('%s is refused', (_, bytes) => {
    expect(reasonOf(() => signerIndexes(Uint8Array.from(bytes)))).toBe('bitmap-invalid');
  });
});

describe('committees', () => {
  test('follow from the pin, over 40 epochs', () => {
    let committee = signingCommittee(11n, [10_000n], 1);
    const committees = committeesOf(committee);
    for (let epoch = 12n; epoch <= 51n; epoch += 1n) {
      // A key lives a few epochs, as those of validators do.
      const next = signingCommittee(epoch, [10_000n], Number(epoch % 7n) + 1);
      committees.follow(signedCheckpoint(committee, { next }));
      committee = next;
    }
    expect(committees.newestEpoch).toBe(51n);
    expect(committees.of(12n).epoch).toBe(12n);
  });

  test('skip no epoch, and take no step that the committee did not sign', () => {
    const committee = signingCommittee(11n, [10_000n], 1);
    const next = signingCommittee(12n, [10_000n], 2);
    const committees = committeesOf(committee);
    expect(
      reasonOf(() => committees.follow(signedCheckpoint(next, { next: signingCommittee(13n, [10_000n]) }))),
    ).toBe('wrong-epoch');
    const forged = signedCheckpoint(signingCommittee(11n, [10_000n], 3), { next });
    expect(reasonOf(() => committees.follow(forged))).toBe('signature-invalid');
    expect(reasonOf(() => committees.follow(signedCheckpoint(committee)))).toBe('not-end-of-epoch');
    expect(committees.newestEpoch).toBe(11n);
  });

  test('begin with what the pin names, and nothing else', () => {
    const before = signingCommittee(10n, [10_000n], 99);
    const { summary } = signedCheckpoint(before, { next: signingCommittee(11n, [10_000n]) });
    const other = signedCheckpoint(before, { next: signingCommittee(11n, [10_000n], 5) }).summary;
    const pin = { epoch: 10, checkpoint: digestOf('CheckpointSummary', summary) };
    expect(reasonOf(() => new Committees([committeeOfPin(pin, summary)]))).toBe('accepted');
    expect(reasonOf(() => new Committees([committeeOfPin(pin, other)]))).toBe('pin-mismatch');
    expect(reasonOf(() => new Committees([committeeOfPin({ ...pin, epoch: 9 }, summary)]))).toBe(
      'pin-mismatch',
    );
  });

  test('of an epoch before the pin, or not followed to yet, are unknown', () => {
    const committees = committeesOf(signingCommittee(11n, [10_000n]));
    expect(reasonOf(() => committees.of(10n))).toBe('committee-unknown');
    expect(reasonOf(() => committees.of(12n))).toBe('committee-unknown');
  });
});

describe('a transaction', () => {
  const committee = signingCommittee(11n, [7_000n, 1_000n, 1_000n, 1_000n]);
  const committees = committeesOf(committee);
  const proof = signedWrite(committee);

  test('is proven with the object that it wrote', () => {
    const proven = verifyTransaction(committees, proof);
    expect(proven.objects).toMatchObject([{ id: OBJECT_ID, version: 5n }]);
    expect(proven.objects[0]?.type).toBe(`0x${'9'.padStart(64, '0')}::staking::StakeRecord`);
    expect(proven.checkpoint.epoch).toBe(11n);
  });

  test('that failed proves nothing', () => {
    const failed = signedWrite(committee, { failed: true });
    expect(reasonOf(() => verifyTransaction(committees, failed))).toBe('transaction-failed');
  });

  test('that is not in the checkpoint is refused', () => {
    const other = { ...proof, transaction: digestOf('Object', proof.effects) };
    expect(reasonOf(() => verifyTransaction(committees, other))).toBe('transaction-missing');
  });

  test('with the contents of another checkpoint is refused', () => {
    const other = { ...proof, ...signedCheckpoint(committee) };
    expect(reasonOf(() => verifyTransaction(committees, other))).toBe('contents-mismatch');
  });

  test('with an object that it did not write is refused', () => {
    const version = Uint8Array.from(proof.objects[0] ?? []);
    // The version stands behind the type tag and the flag: one more is another version.
    const at = version.indexOf(5, 50);
    version[at] = 6;
    expect(reasonOf(() => verifyTransaction(committees, { ...proof, objects: [version] }))).toBe(
      'object-not-written',
    );
    const tampered = Uint8Array.from(proof.objects[0] ?? []);
    tampered[tampered.length - 1] = 1;
    expect(reasonOf(() => verifyTransaction(committees, { ...proof, objects: [tampered] }))).toBe(
      'object-mismatch',
    );
  });

  test('with events that it did not emit is refused', () => {
    expect(reasonOf(() => verifyTransaction(committees, { ...proof, events: Uint8Array.of(0) }))).toBe(
      'events-mismatch',
    );
  });

  test('is refused before the pairing when something cheap is wrong', () => {
    const untouched = new KeyCache();
    const point = untouched.point.bind(untouched);
    let parsed = 0;
    untouched.point = (key) => {
      parsed += 1;
      return point(key);
    };
    const lazy = committeesOf(committee);
    Object.assign(lazy, { keys: untouched });
    expect(reasonOf(() => verifyTransaction(lazy, { ...proof, effects: Uint8Array.of(1) }))).toBe(
      'effects-mismatch',
    );
    expect(parsed).toBe(0);
  });
});

real(`checkpoints of real networks (${HAD_BY})`, () => {
  test('one step of mainnet’s committees holds: epoch 189 after epoch 188', () => {
    const { a, b } = vector<FollowVector>('mainnet-189-follow');
    const summary = fromHex(a.summary);
    const { epoch } = readSummary(summary);
    const pin = { epoch: Number(epoch), checkpoint: digestOf('CheckpointSummary', summary) };
    const committees = new Committees([committeeOfPin(pin, summary)]);
    expect(committees.newestEpoch).toBe(189n);
    expect(committees.follow(certified(b)).committee.epoch).toBe(190n);
  });

  test('a transaction of mainnet’s epoch 246 is proven with its events and objects', () => {
    const { committees, proof, objects } = mainnet();
    const proven = verifyTransaction(committees, proof);
    expect(proven.objects.map(({ id, digest }) => ({ id, digest }))).toEqual(
      objects.map(({ id, digest }) => ({ id, digest })),
    );
    expect(proven.events.length).toBeGreaterThan(0);
  });

  test('a transaction of a test network with effects V2 is proven', () => {
    const world = vector<TestNetworkVector>('ocs-1137');
    const members = world.committee.members.map(({ publicKey, stake }) => ({
      publicKey: fromHex(publicKey),
      votingPower: BigInt(stake),
    }));
    const committee = createCommittee(BigInt(world.committee.epoch), members);
    const verified = verifyCheckpoint(committee, certified(world));
    expect(verified.height).toBe(1137n);
    expect(() => nextCommittee(verified)).toThrow(ProofError);
  });

  test('1000 mutations of them are refused, each by name', { timeout: 180_000 }, () => {
    const { committees, proof } = mainnet();
    const random = seeded(20_261_128);
    const parts = ['summary', 'signature', 'contents', 'effects', 'events', 'object'] as const;
    const reasons = new Map<string, number>();
    for (let round = 0; round < 1_000; round += 1) {
      const part = parts[round % parts.length] ?? 'summary';
      const mutated = mutate(proof, part, random);
      const reason = reasonOf(() => verifyTransaction(committees, mutated));
      expect(reason, `round ${round}, ${part}`).not.toBe('accepted');
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    expect([...reasons.keys()]).toEqual(
      expect.arrayContaining([
        'contents-mismatch',
        'effects-mismatch',
        'events-mismatch',
        'signature-invalid',
      ]),
    );
  });
});

function mainnet() {
  const world = vector<MainnetVector>('mainnet-246');
  const summary = fromHex(world.endOfEpoch.summary);
  const pin = { epoch: 245, checkpoint: digestOf('CheckpointSummary', summary) };
  const { transaction } = world;
  const proof = {
    ...certified(world.checkpoint),
    contents: fromHex(world.checkpoint.contents),
    transaction: transaction.digest,
    effects: fromHex(transaction.effects),
    events: fromHex(transaction.events),
    objects: transaction.objects.map(({ bcs }) => fromHex(bcs)),
  };
  return { committees: new Committees([committeeOfPin(pin, summary)]), proof, objects: transaction.objects };
}

type Proof = ReturnType<typeof mainnet>['proof'];

function mutate(
  proof: Proof,
  part: 'summary' | 'signature' | 'contents' | 'effects' | 'events' | 'object',
  random: () => number,
): Proof {
  if (part === 'object') {
    const index = Math.floor(random() * proof.objects.length);
    const objects = proof.objects.map((bytes, at) => (at === index ? changed(bytes, random) : bytes));
    return { ...proof, objects };
  }
  return { ...proof, [part]: changed(proof[part], random) };
}

/** One bit flipped, a byte set, cut off, or appended. */
function changed(bytes: Uint8Array, random: () => number): Uint8Array {
  const kind = Math.floor(random() * 4);
  const at = Math.floor(random() * bytes.length);
  const copy = Uint8Array.from(bytes);
  if (kind === 0) copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  if (kind === 1) copy[at] = (copy[at] ?? 0) ^ 0xff;
  if (kind === 2) return copy.subarray(0, at);
  if (kind === 3) return Uint8Array.from([...copy, Math.floor(random() * 256)]);
  return copy;
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
