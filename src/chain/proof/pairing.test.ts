import { expect, test } from 'vitest';
import { isPaired, prepareCheckpoint } from './certificate.ts';
import { KeyCache } from './committee.ts';
import { createPairing, openPairingWorker } from './pairing.ts';
import { signedCheckpoint, signingCommittee } from './signed-chain.fixture.ts';

const committee = signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n]);
const preparedAt = (height: bigint) => prepareCheckpoint(committee, signedCheckpoint(committee, { height }));
const forged = () => {
  const others = signingCommittee(3n, [2_500n, 2_500n, 2_500n, 2_500n], 2);
  return prepareCheckpoint(committee, signedCheckpoint(others));
};

test('a few a second are verified here, more in the thread, with the same results', async () => {
  let elsewhere = 0;
  let nowMs = 0;
  const worker = openPairingWorker();
  const pairing = createPairing({
    nowMs: () => nowMs,
    fewASecond: 2,
    openWorker: () => ({
      isPaired(job) {
        elsewhere += 1;
        return worker.isPaired(job);
      },
    }),
  });
  for (const height of [1n, 2n, 3n]) expect(await pairing(preparedAt(height))).toMatchObject({ height });
  await expect(pairing(forged())).rejects.toMatchObject({ reason: 'signature-invalid' });
  expect(elsewhere).toBe(2);
  nowMs = 5_000;
  await expect(pairing(forged())).rejects.toMatchObject({ reason: 'signature-invalid' });
  expect(elsewhere).toBe(2);
});

test('a thread that ends leaves nothing unanswered', async () => {
  const pairing = createPairing({
    fewASecond: 0,
    openWorker: () => ({ isPaired: () => Promise.reject(new Error('the thread has ended')) }),
  });
  expect(await pairing(preparedAt(1n))).toMatchObject({ height: 1n });
  await expect(pairing(forged())).rejects.toMatchObject({ reason: 'signature-invalid' });
});

test('a key that is none is no signature, in the thread as here', async () => {
  const job = { publicKeys: [new Uint8Array(96)], message: new Uint8Array(8), signature: new Uint8Array(48) };
  expect(() => isPaired(job, new KeyCache())).toThrow('BLS12-381 G2');
  await expect(openPairingWorker().isPaired(job)).rejects.toThrow('BLS12-381 G2');
});
