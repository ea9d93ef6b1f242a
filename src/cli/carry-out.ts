import type { Plan } from '#chain';
import { confirm, costJson, costLines, type SpendOptions } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { writeDraft } from './unsigned.ts';

export interface Announcement {
  /** `Publish the contracts?` */
  readonly question: string;
  /** What it will do, as name and value. */
  readonly facts: ReadonlyArray<readonly [string, string]>;
  /** The same for `--json --dry-run`. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * Shows effect and cost of a plan, asks, and executes it; with --unsigned it writes the transaction to a file instead. Returns
 * `undefined` after that and after a dry run, which print their own result. Throws `DAAS_NOT_CONFIRMED` when the answer is no.
 */
export async function carryOut<T>(
  io: Io,
  plan: Plan<T>,
  options: SpendOptions,
  { question, facts, json }: Announcement,
): Promise<T | undefined> {
  if (options.unsigned !== undefined && plan.draft) {
    await writeDraft(io, { ...plan.draft, facts }, options);
    return undefined;
  }
  const lines = table([...facts, ...costLines(plan)].map(([name, value]) => [name, value]));
  if (options.dryRun) {
    io.result(
      { dryRun: true, ...json, ...costJson(plan) },
      `${lines}\nNothing was sent: this was a dry run.`,
    );
    return undefined;
  }
  for (const line of lines.split('\n')) io.note(line);
  await confirm(io, question, options);
  // Printed before it is sent, so that the operator can look it up whatever happens next.
  io.note(`sends transaction ${plan.digest}`);
  const result = await plan.execute();
  io.step('carried out', plan.digest);
  return result;
}
