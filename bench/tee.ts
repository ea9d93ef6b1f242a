import crypto, { X509Certificate } from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { SAMPLES, sample } from '../src/tee/samples.fixture.ts';
import { NOW } from '../src/tee/trial.fixture.ts';
import { verify } from '../src/tee/verify.ts';

/**
 * What a verification of each kind of evidence costs: CPU in all, and the part of it that the signatures alone take, with
 * the size of the evidence and of its collateral. Argument: verifications of each kind.
 */
const rounds = Number(process.argv[2] ?? 300);

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

let signatureUs = 0;
let signatures = 0;
function measured<Result>(work: () => Result): Result {
  const startedAt = cpuUs();
  try {
    return work();
  } finally {
    signatureUs += cpuUs() - startedAt;
    signatures += 1;
  }
}

const bareVerify = crypto.verify;
crypto.verify = ((...argv: Parameters<typeof bareVerify>) => measured(() => bareVerify(...argv))) as never;
syncBuiltinESMExports();
const verifyCertificate = X509Certificate.prototype.verify;
X509Certificate.prototype.verify = function verify(key) {
  return measured(() => verifyCertificate.call(this, key));
};

for (const name of SAMPLES) {
  const { evidence, policy } = await sample(name);
  const once = () => {
    const { accepted } = verify(evidence, policy, { nowMs: NOW });
    if (!accepted) throw new Error(`${name} is refused`);
  };
  for (let round = 0; round < 30; round += 1) once();
  [signatureUs, signatures] = [0, 0];
  const startedAt = cpuUs();
  for (let round = 0; round < rounds; round += 1) once();
  const allUs = cpuUs() - startedAt;
  const ms = (us: number) => Number((us / rounds / 1_000).toFixed(2));
  const collateralBytes = evidence.collateral.reduce(
    (sum, { content, issuerChain = '' }) => sum + content.length + issuerChain.length,
    0,
  );
  console.log(
    JSON.stringify({
      name,
      cpuMs: ms(allUs),
      ofWhichSignaturesMs: ms(signatureUs),
      signatures: signatures / rounds,
      evidenceBytes: evidence.bytes.length,
      collateralBytes,
    }),
  );
}
