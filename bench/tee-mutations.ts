import { seededRandom } from '#testing';
import { isSame, mutated } from '../src/tee/mutation.fixture.ts';
import { SAMPLES, sample } from '../src/tee/samples.fixture.ts';
import { NOW } from '../src/tee/trial.fixture.ts';
import { verify } from '../src/tee/verify.ts';

/**
 * Changes a few bytes of evidence and its collateral, again and again: how many of the changed pieces are accepted (none
 * may be), for which reasons the others are refused, and that nothing breaks. Arguments: how often for each kind, the
 * seed, a part of the names of the kinds.
 */
const count = Number(process.argv[2] ?? 200_000);
const seed = Number(process.argv[3] ?? 1);
const part = process.argv[4] ?? '';

for (const name of SAMPLES.filter((known) => known.includes(part))) {
  const { evidence, policy } = await sample(name);
  const random = seededRandom(seed);
  const reasons = new Map<string, number>();
  let [same, accepted] = [0, 0];
  const startedAtMs = performance.now();
  const cpu = process.cpuUsage();
  for (let round = 0; round < count; round += 1) {
    const changed = mutated(evidence, random);
    const verdict = verify(changed, policy, { nowMs: NOW });
    const [reason] = verdict.reasons;
    if (reason) reasons.set(reason.check, (reasons.get(reason.check) ?? 0) + 1);
    else if (isSame(changed, evidence)) same += 1;
    else accepted += 1;
    if ((round + 1) % 20_000 === 0) console.error(`${name}: ${round + 1} of ${count}, ${accepted} accepted`);
  }
  const { user, system } = process.cpuUsage(cpu);
  const seconds = Math.round((performance.now() - startedAtMs) / 1_000);
  const byCount = [...reasons].toSorted(([, one], [, other]) => other - one);
  const cpuUsEach = Math.round((user + system) / count);
  console.log(
    JSON.stringify({
      name,
      count,
      seed,
      accepted,
      same,
      seconds,
      cpuUsEach,
      reasons: Object.fromEntries(byCount),
    }),
  );
}
