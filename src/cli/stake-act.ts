import type { Journal } from '#base';
import type { StakeAct } from '#chain';
import type { ChainReceipt } from '#plugin';
import { confirm, costJson, costLines } from './chain-options.ts';
import { type Io, table } from './io.ts';
import type { StakeOptions, StakeSession } from './stake-session.ts';
import { writeUnsigned } from './unsigned.ts';

/** What is shown before an act, and asked. */
export interface ActAnnouncement {
  /** `Unstake?` */
  readonly question: string;
  readonly facts: ReadonlyArray<readonly [string, string]>;
  /** The same for `--json --dry-run`. */
  readonly json?: Readonly<Record<string, unknown>>;
  /** Consent that the question alone does not give. */
  readonly consent?: () => Promise<void>;
}

/** Undefined after a dry run, which prints its own result. */
export type ActOutcome = { readonly receipt: ChainReceipt; readonly isEarlier: boolean } | undefined;

/**
 * Judges an act, shows what it does and costs, asks, and carries it out. What is about to be done is noted in the journal
 * before it is asked for and struck off when it was shown (`told`): a command that is killed after its transaction landed, and
 * run again, shows that transaction instead of sending a second one. With --unsigned it writes the transaction to a file.
 */
export async function runAct(
  io: Io,
  session: StakeSession,
  act: StakeAct,
  options: Omit<StakeOptions, 'deployment'>,
  announcement: ActAnnouncement,
): Promise<ActOutcome> {
  const { chain } = session;
  if (options.unsigned !== undefined) {
    const { deployment } = session.actor.client;
    await writeUnsigned(io, { chain, deployment, act, facts: announcement.facts }, options);
    return undefined;
  }
  const earlier = earlierReceipt(session, act);
  if (earlier) {
    io.step('carried out by an earlier run, which was not told', earlier.digest);
    return { receipt: earlier, isEarlier: true };
  }
  const prepared = await chain.prepareAct(act);
  const { question, facts, json, consent } = announcement;
  const rows = [...facts, ['wallet', chain.wallet] as const, ...costLines(prepared)];
  const shown = table(rows);
  if (options.dryRun) {
    io.result(
      { dryRun: true, recordId: act.recordId, wallet: chain.wallet, ...json, ...costJson(prepared) },
      `${shown}\nNothing was sent: this was a dry run.`,
    );
    return undefined;
  }
  for (const line of shown.split('\n')) io.note(line);
  await consent?.();
  await confirm(io, question, options);
  await intents(session.journal).write(keyOf(act), intentOf(act));
  const receipt = await chain.carryOut(act);
  io.step('carried out', receipt.digest);
  return { receipt, isEarlier: false };
}

/** The result was shown: the same command asks for something new from now on. */
export async function told({ journal }: Pick<StakeSession, 'journal'>, act: StakeAct): Promise<void> {
  await intents(journal).remove(keyOf(act));
}

const intents = (journal: Journal) => journal.section('intents');
const keyOf = ({ kind, recordId }: StakeAct) => `${kind}/${recordId}`;

/** The act as the journal keeps it. */
function intentOf(act: StakeAct): Record<string, string> {
  return Object.fromEntries(
    Object.entries(act).map(([name, value]) => [
      name,
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value),
    ]),
  );
}

/** Whether an earlier run carried the act out, and was killed before it said so. */
export function isUntold(session: StakeSession, act: StakeAct): boolean {
  return earlierReceipt(session, act) !== undefined;
}

/** The receipt of an earlier run that wanted the same and did not come to show it. */
function earlierReceipt({ chain, journal }: StakeSession, act: StakeAct): ChainReceipt | undefined {
  const intent = intents(journal).read(keyOf(act)) as Record<string, string> | undefined;
  if (!intent || wishOf(intent) !== wishOf(intentOf(act))) return undefined;
  return chain.receiptOfAct(earlierAct(act, intent));
}

/** What the user asks for, apart from the state that it starts from. */
function wishOf({ amountMist = '', holderKey = '' }: Record<string, string>): string {
  return `${amountMist}/${holderKey}`;
}

function earlierAct(act: StakeAct, intent: Record<string, string>): StakeAct {
  const { tokenId = '', paidInMist = '0' } = intent;
  switch (act.kind) {
    case 'rotate':
    case 'revoke':
      return { ...act, tokenId };
    case 'top-up':
      return { ...act, paidInMist: BigInt(paidInMist) };
    default:
      return act;
  }
}
