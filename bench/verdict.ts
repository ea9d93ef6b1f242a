import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { type CryptoKey, compactVerify, importJWK } from 'jose';
import { Secret, systemClock } from '#base';
import { bodyDigest, createProofSigner, nodeKeyFromSeed } from '#seal';
import type { Audit } from '../src/gateway/audit.ts';
import { createChallenges } from '../src/gateway/challenge.ts';
import type { FactCache } from '../src/gateway/fact-cache.ts';
import { createRateLimit } from '../src/gateway/rate-limit.ts';
import { createRefusalTally } from '../src/gateway/refusal-tally.ts';
import type { Registry } from '../src/gateway/registry.ts';
import { createTokenUsage } from '../src/gateway/token-usage.ts';
import { createVerifier } from '../src/gateway/verifier.ts';
import { aWorker } from '../src/gateway/worker.fixture.ts';
import type { Worker } from '../src/gateway/worker.ts';
import { costOfEach, round as rounded } from './cpu.ts';

/**
 * The CPU time of a heartbeat's verdict, 16 at the same time, that of the Ed25519 verification alone, and that of a JWS library
 * which verifies the same proofs with keys that it has imported before, by turns.
 */
const count = Number(process.argv[2] ?? 8_000);
const path = '/api/v1/nodes/heartbeat';
const audience = `0x${'9a'.repeat(32)}`;
const body = Buffer.from('{}');
/** How many heartbeats are checked at the same time. */
const lanes = 16;
/**
 * A multiple of the lanes, so that the proofs of one node are checked one after the other: one that was overtaken by the
 * next, on a busy machine, would be a replay.
 */
const nodes = 64 * lanes;

const workers = new Map<string, Worker>();
const proofs: string[] = [];
const libraryKeys: CryptoKey[] = [];
const signers = Array.from({ length: nodes }, (_, index) => {
  const nodeId = `worker-${index}`;
  const key = nodeKeyFromSeed(new Secret(index.toString(16).padStart(64, '0')));
  const tokenId = `0x${index.toString(16).padStart(64, '0')}`;
  const holderKey = Buffer.from(key.publicKey).toString('base64url');
  workers.set(nodeId, aWorker({ nodeId, tokenId, holderKey }));
  return { tokenId, signer: createProofSigner(nodeId, key) };
});

const unlimited = createRateLimit({ ratePerSecond: 1e9, burst: 1e9 });
// Proofs are dated in whole milliseconds.
const startedAtMs = systemClock.monotonicMs() - 1_000;
const audit = {
  note: async () => undefined,
  record: () => undefined,
  failure: () => undefined,
} as unknown as Audit;
const nowMs = () => systemClock.nowMs();
const verifier = createVerifier({
  facts: {} as FactCache,
  registry: {
    worker: (id: string) => workers.get(id),
    lastHeartbeat: () => undefined,
  } as unknown as Registry,
  challenges: createChallenges(audience),
  audit,
  refusals: createRefusalTally({ audit, nowMs }),
  usage: createTokenUsage({ audit, nowMs, heartbeats: 'hourly' }),
  clock: systemClock,
  startedAtMs,
  strangers: unlimited,
  allStrangers: unlimited,
  tokens: unlimited,
  registrations: unlimited,
  clones: { examineHeartbeat: (worker) => worker },
});
const target = { audience, method: 'POST', path, bodyDigest: bodyDigest(body) };

const bare = generateKeyPairSync('ed25519');
const message = Buffer.alloc(700, 7);
const signature = sign(null, message, bare.privateKey);
for (const { holderKey: x } of workers.values())
  libraryKeys.push((await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'Ed25519')) as CryptoKey);
const decoder = new TextDecoder();
/** Signature and claims, without any other check. */
const verifyByLibrary = async (index: number): Promise<unknown> => {
  const jws = (proofs[index] ?? '').slice('seal_'.length);
  const { payload } = await compactVerify(jws, libraryKeys[index % nodes] as CryptoKey);
  return JSON.parse(decoder.decode(payload));
};
const verifyBare = (key: KeyObject): Promise<boolean> =>
  new Promise((resolve, reject) => {
    verify(null, message, key, signature, (error, isValid) => (error ? reject(error) : resolve(isValid)));
  });

const cpuOf = async (work: (index: number) => Promise<unknown>): Promise<number> =>
  (await costOfEach(count, lanes, work)).cpuUs;

let sequence = 0;
for (let round = 1; round <= 5; round += 1) {
  proofs.length = 0;
  for (let index = 0; index < count; index += 1) {
    if (index % nodes === 0) sequence += 1;
    const { tokenId, signer } = signers[index % nodes] as (typeof signers)[number];
    proofs.push(
      await signer.sign({
        sealTokenId: tokenId,
        audience,
        method: 'POST',
        path,
        body,
        nowMs: Date.now(),
        freshness: { kind: 'sequence', incarnation: 1, sequence },
      }),
    );
  }
  const verdictUs = await cpuOf((index) =>
    verifier.heartbeat({
      proof: proofs[index],
      target,
      address: '192.0.2.1',
      peer: undefined,
      requestId: 'r',
    }),
  );
  const bareUs = await cpuOf(() => verifyBare(bare.publicKey));
  const libraryUs = await cpuOf(verifyByLibrary);
  console.log(
    JSON.stringify({
      round,
      verdictUs: rounded(verdictUs, 1),
      bareUs: rounded(bareUs, 1),
      libraryUs: rounded(libraryUs, 1),
      ratio: rounded(bareUs / verdictUs, 2),
      ratioOfLibrary: rounded(libraryUs / verdictUs, 2),
    }),
  );
}
