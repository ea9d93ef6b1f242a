import { z } from 'zod';
import type { Evidence } from './evidence.ts';
import { type Examination, refuse } from './examination.ts';
import type { CommandPolicy } from './policy.ts';
import { COVERAGES, type Findings, type Measured } from './verdict.ts';

/** How a run of the operator's program ended; `run-command.ts` makes it, so that judging it stays pure. */
export type CommandOutcome =
  | { readonly kind: 'answered'; readonly output: string }
  | { readonly kind: 'failed'; readonly message: string };

const Answer = z.strictObject({
  accepted: z.boolean(),
  reasons: z.array(z.string().max(500)).max(50).default([]),
  platform: z.string().min(1).max(100),
  measurement: z.string().min(1).max(200),
  covers: z.enum(COVERAGES),
  /** What the evidence is bound to, or null. */
  reportData: z
    .string()
    .regex(/^(?:[0-9a-f]{2}){0,1024}$/)
    .nullable(),
});

/** Judges what the operator's program answered. It vouches for signatures; measurement and binding are compared here. */
export function examineCommand(
  evidence: Evidence,
  policy: CommandPolicy,
  outcome: CommandOutcome | undefined,
  examination: Examination,
): Findings {
  const { format = '' } = evidence;
  if (!Object.hasOwn(policy.programs, format))
    return refuse('command-missing', `the policy names no program for the format '${format}'`);
  if (!outcome) return refuse('command-failed', `the program for '${format}' was not run`);
  if (outcome.kind === 'failed') return refuse('command-failed', outcome.message);
  const answer = readAnswer(outcome.output);
  examination.expect(
    answer.accepted,
    'command-refused',
    `the program refuses: ${answer.reasons.join('; ') || 'without a reason'}`,
  );
  return {
    claims: {
      platform: answer.platform,
      measurements: { measurement: answer.measurement },
      reportData: answer.reportData === null ? undefined : Buffer.from(answer.reportData, 'hex'),
      details: { covers: answer.covers },
    },
    measured: measuredBy(answer, policy),
  };
}

function readAnswer(output: string): z.infer<typeof Answer> {
  let json: unknown;
  try {
    json = JSON.parse(output);
  } catch {
    return refuse('command-answer-invalid', 'the program’s answer is not JSON');
  }
  const parsed = Answer.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: '' };
  return refuse(
    'command-answer-invalid',
    `the program’s answer is wrong at ${path.map(String).join('.')}: ${message}`,
  );
}

function measuredBy(
  { measurement, covers }: z.infer<typeof Answer>,
  { measurements }: CommandPolicy,
): Measured | undefined {
  if (measurements === 'any') return { name: 'any', covers: 'platform only' };
  const match = measurements.find((one) => one.measurement === measurement);
  if (!match) return undefined;
  // The lesser of what the program found and what the operator says of this value.
  const least = Math.min(COVERAGES.indexOf(covers), COVERAGES.indexOf(match.covers));
  return { name: match.name, covers: COVERAGES[least] ?? 'platform only' };
}
