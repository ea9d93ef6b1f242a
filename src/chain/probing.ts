import { z } from 'zod';
import { type Clock, errorFields, type Journal, type Log, messageOf } from '#base';
import type { AuditCargo } from '#domain';
import { type Anchoring, type AnchoringOptions, type AnchorStatus, createAnchoring } from './anchoring.ts';
import type { ChainClient } from './chain-client.ts';
import { U64 } from './plain-fields.ts';
import type { SignedTransaction } from './prepare-transaction.ts';
import { PROBE_BUDGET_MIST, type ProbeResult, type Prober, sendProbe, signProbe } from './probe.ts';
import { entryOf, SignedEntry, signedOf } from './signed-entry.ts';

/** When a gateway pays for a probe: for an anchor of its audit file alone, for admissions that need one, or at an interval too. */
export type ProbeSchedule =
  | { readonly kind: 'off' }
  | { readonly kind: 'admissions' }
  | { readonly kind: 'every'; readonly everyMs: number };

export interface ProbingOptions {
  readonly client: Prober['client'] & Pick<ChainClient, 'balance'>;
  readonly wallet: Prober['wallet'];
  readonly schedule: ProbeSchedule;
  /** Probes carry the end of the audit file of this gateway; without it they do not. */
  readonly anchoring?: AnchoringOptions | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /**
   * Keeps what was spent, so that a gateway that starts again and again stays within its limits too, and the probe whose
   * outcome is not known: two that take one coin would lock it until the epoch ends.
   */
  readonly journal: () => Promise<ProbeJournal>;
  /** For tests of when they are sent. */
  readonly transactions?: { readonly sign: typeof signProbe; readonly send: typeof sendProbe };
}

type ProbeJournal = Pick<Journal, 'read' | 'write' | 'remove'>;

/** How the probes of a gateway stand. */
export interface ProbeStatus {
  readonly schedule: ProbeSchedule;
  /** The chain's time of the last one that was proven. */
  readonly seenAtMs: number | undefined;
  /** What the last one cost. */
  readonly costMist: bigint | undefined;
  /** How many were sent within the last 24 hours, and what they cost; one whose outcome is not known counts in full. */
  readonly sentToday: number;
  readonly spentTodayMist: bigint;
  readonly balanceMist: bigint | undefined;
  /** What the wallet holds lasts for less than a week. */
  readonly isGasLow: boolean;
  /** Objects of which the last one has seen a version that no full node shows. */
  readonly hidden: readonly string[];
  /** Why the last attempt brought nothing. */
  readonly failure: string | undefined;
  /** `undefined`: none are made here. */
  readonly anchors: AnchorStatus | undefined;
}

export interface Probing {
  /** Probes when one is due, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Asks for one that covers this record; several share a transaction. */
  ask(recordId: string): void;
  /** From now on probes carry what this says, if they are to. */
  carry(cargo: AuditCargo): void;
  status(): ProbeStatus;
}

const DAY_MS = 86_400_000;
/** Callers who ask for probes can cause no more than this. */
const MOST_ASKED_A_DAY = 144;
export const MOST_MIST_A_DAY = 500_000_000n;
/** Between two of them, so that those who ask at once share one. */
const PAUSE_MS = 10_000;
const RETRY_MS = 60_000;
/** Records in one transaction. */
const MOST_RECORDS = 50;
const LOW_GAS_DAYS = 7;

interface Sent {
  readonly atMs: number;
  readonly wasAsked: boolean;
  mist: bigint;
}

interface State extends Omit<ProbingOptions, 'anchoring'> {
  readonly anchoring: Anchoring;
  readonly transactions: NonNullable<ProbingOptions['transactions']>;
  readonly asked: Set<string>;
  kept: ProbeJournal | undefined;
  /** Of the last 24 hours. */
  sent: Sent[];
  /** Signed and sent, with an unknown outcome: it is settled before another takes the same coin. */
  pending: { readonly signed: SignedTransaction; readonly sent: Sent } | undefined;
  /** By the monotonic clock. */
  endedAtMs: number | undefined;
  last: ProbeResult | undefined;
  balanceMist: bigint | undefined;
  failure: string | undefined;
  isLowGasSaid: boolean;
  wake: PromiseWithResolvers<void>;
}

export function createProbing(options: ProbingOptions): Probing {
  const { clusterId } = options.client.deployment;
  const state: State = {
    transactions: { sign: signProbe, send: sendProbe },
    ...options,
    anchoring: createAnchoring({
      ...options,
      options: options.anchoring,
      clusterId,
      wallet: options.wallet.address,
    }),
    asked: new Set(),
    kept: undefined,
    sent: [],
    pending: undefined,
    endedAtMs: undefined,
    last: undefined,
    balanceMist: undefined,
    failure: undefined,
    isLowGasSaid: false,
    wake: Promise.withResolvers(),
  };
  return {
    run: (signal) => run(state, signal),
    ask(recordId) {
      if (state.schedule.kind === 'off') return;
      if (state.asked.size < MOST_RECORDS) state.asked.add(recordId);
      state.wake.resolve();
    },
    carry(cargo) {
      state.anchoring.carry(cargo);
      state.wake.resolve();
    },
    status: () => statusOf(state),
  };
}

async function run(state: State, signal: AbortSignal): Promise<void> {
  await recall(state);
  while (!signal.aborted) {
    const dueInMs = dueAtMs(state) - state.clock.monotonicMs();
    if (dueInMs <= 0) await probe(state, signal);
    else await pause(state, dueInMs, signal);
  }
}

/** Until the time has come, or somebody asks. */
async function pause(state: State, delayMs: number, signal: AbortSignal): Promise<void> {
  state.wake = Promise.withResolvers();
  const woken = new AbortController();
  const asleep = state.clock
    .sleep(Math.min(delayMs, DAY_MS), AbortSignal.any([signal, woken.signal]))
    .catch(() => undefined);
  await Promise.race([asleep, state.wake.promise]);
  woken.abort();
  await asleep;
}

/** By the monotonic clock; never, while nothing asks for one. */
function dueAtMs(state: State): number {
  const { schedule, asked, endedAtMs = Number.NEGATIVE_INFINITY, failure } = state;
  const pauseMs = failure === undefined ? PAUSE_MS : RETRY_MS;
  const everyMs = schedule.kind === 'every' ? schedule.everyMs : Number.POSITIVE_INFINITY;
  const wanted = [
    ...(asked.size > 0 ? [Math.max(endedAtMs + pauseMs, askedAgainAtMs(state))] : []),
    // Each of these carries an anchor too.
    schedule.kind === 'every'
      ? endedAtMs + (failure === undefined ? everyMs : RETRY_MS)
      : Math.max(state.anchoring.dueAtMs(), endedAtMs + RETRY_MS),
  ];
  return Math.max(Math.min(...wanted, Number.POSITIVE_INFINITY), affordableAtMs(state));
}

/** When one may be asked for again: what strangers can cause is bounded apart, so that they never delay the others. */
function askedAgainAtMs(state: State): number {
  const asked = recent(state).filter(({ wasAsked }) => wasAsked);
  const oldest = asked[asked.length - MOST_ASKED_A_DAY];
  return oldest === undefined ? Number.NEGATIVE_INFINITY : oldest.atMs + DAY_MS;
}

function affordableAtMs(state: State): number {
  const sent = recent(state);
  let mist = sent.reduce((sum, one) => sum + one.mist, 0n);
  let freeAtMs = Number.NEGATIVE_INFINITY;
  for (const one of sent) {
    if (mist + PROBE_BUDGET_MIST <= MOST_MIST_A_DAY) break;
    mist -= one.mist;
    freeAtMs = one.atMs + DAY_MS;
  }
  return freeAtMs;
}

function recent(state: State): readonly Sent[] {
  const sinceMs = state.clock.monotonicMs() - DAY_MS;
  state.sent = state.sent.filter(({ atMs }) => atMs > sinceMs);
  return state.sent;
}

const Pending = z.strictObject({ chainId: z.string(), signed: SignedEntry });
const Spending = z.array(
  z.strictObject({
    sentAtMs: z.int(),
    wasAsked: z.boolean(),
    mist: U64,
  }),
);

/** What earlier processes have sent within the last 24 hours. A journal that cannot be read counts as a day that is spent. */
async function recall(state: State): Promise<void> {
  const { clock, log } = state;
  const [nowMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
  try {
    state.kept = await state.journal();
    state.anchoring.begin(state.kept);
    const kept = Spending.parse(state.kept.read('sent') ?? []);
    state.sent = kept.map(({ sentAtMs, wasAsked, mist }) => ({
      // A clock that was put back must not hold probes up for longer than a day.
      atMs: monotonicMs - Math.max(nowMs - sentAtMs, 0),
      wasAsked,
      mist,
    }));
    const last = state.sent.at(-1);
    recallPending(state, last);
    // A start is a good time for a probe: what an earlier process has seen of hidden changes is lost with it.
    if (last) state.endedAtMs = last.atMs - Math.max(0, intervalMs(state) - PAUSE_MS);
  } catch (error) {
    log.error('What was spent on probes cannot be read: none is sent for a day', {
      event: 'chain.probe-failed',
      ...errorFields(error),
    });
    state.failure = messageOf(error);
    state.sent = [{ atMs: monotonicMs, wasAsked: false, mist: MOST_MIST_A_DAY }];
  }
}

/** Its cost counts in full until its outcome is known. It is the last one that was sent: before another it is settled. */
function recallPending(state: State, last: Sent | undefined): void {
  const entry = state.kept?.read('pending');
  if (entry === undefined) return;
  const { chainId, signed } = Pending.parse(entry);
  // Another chain does not know its coins, and would never end it.
  if (chainId !== state.client.deployment.chainId) return;
  state.pending = {
    signed: signedOf(signed),
    sent: last ?? { atMs: Number.NEGATIVE_INFINITY, wasAsked: false, mist: 0n },
  };
}

/** Between two that nobody asks for; 0: there are none. */
const intervalMs = ({ schedule }: State) => (schedule.kind === 'every' ? schedule.everyMs : 0);

async function keepSpending(state: State): Promise<void> {
  const { clock } = state;
  const bootedAtMs = clock.nowMs() - clock.monotonicMs();
  await state.kept?.write(
    'sent',
    recent(state).map(({ atMs, wasAsked, mist }) => ({
      sentAtMs: Math.round(bootedAtMs + atMs),
      wasAsked,
      mist: mist.toString(),
    })),
  );
}

async function keepPending({ kept, client }: State, signed: SignedTransaction): Promise<void> {
  await kept?.write('pending', { chainId: client.deployment.chainId, signed: entryOf(signed) });
}

async function probe(state: State, signal: AbortSignal): Promise<void> {
  const recordIds = [...state.asked];
  state.asked.clear();
  try {
    await settlePending(state, signal);
    const wasAsked = recordIds.length > 0;
    const isForAnchor = !wasAsked && state.schedule.kind !== 'every';
    // What was spent on it could not be written down: it would be made again and again.
    if (isForAnchor) await keepSpending(state);
    const statement = await state.anchoring.statement({ isRequired: isForAnchor }, signal);
    const signed = await state.transactions.sign(state, { recordIds, statement }, signal);
    const sent = { atMs: state.clock.monotonicMs(), wasAsked, mist: PROBE_BUDGET_MIST };
    state.sent.push(sent);
    state.pending = { signed, sent };
    // Before it is sent: what is not written down would be spent again after a crash.
    await keepSpending(state);
    await keepPending(state, signed);
    const isShown = (await settlePending(state, signal)) !== undefined;
    state.failure = isShown ? undefined : 'its coin was used by another transaction';
  } catch (error) {
    // Whatever a full node has served: a probe that fails must not end the gateway, and evictions with it.
    if (signal.aborted) return;
    if (state.failure === undefined)
      state.log.error('A probe of the chain brought nothing: what the full nodes show may be old', {
        event: 'chain.probe-failed',
        ...errorFields(error),
      });
    state.failure = messageOf(error);
  } finally {
    state.endedAtMs = state.clock.monotonicMs();
  }
  await lookAtGas(state, signal);
}

/** `undefined`: there is none, or it can no longer be executed. */
async function settlePending(state: State, signal: AbortSignal): Promise<ProbeResult | undefined> {
  const { pending, log } = state;
  if (!pending) return undefined;
  const isForAnchors = state.schedule.kind === 'off';
  const result = await state.transactions.send({ ...state, isForAnchors }, pending.signed, signal);
  state.pending = undefined;
  pending.sent.mist = result?.costMist ?? 0n;
  // Before anything is written: where that fails, it was paid for all the same.
  if (result) {
    state.last = result;
    state.anchoring.settled(pending.signed.bytes);
  }
  await keepSpending(state);
  if (result && state.kept) await state.anchoring.keep(state.kept);
  await state.kept?.remove('pending');
  if (!result) return undefined;
  log.debug('A probe has shown the newest state of the chain', { digest: result.digest });
  for (const objectId of result.hidden)
    log.error('A probe has seen a newer version of an object, which no full node shows', {
      event: 'chain.change-hidden',
      objectId,
      version: result.seen.get(objectId)?.version,
    });
  return result;
}

async function lookAtGas(state: State, signal: AbortSignal): Promise<void> {
  const { client, wallet, log } = state;
  try {
    state.balanceMist = (await client.balance(wallet.address, signal)).coinsMist;
  } catch {
    return;
  }
  const isLow = isGasLow(state);
  if (isLow && !state.isLowGasSaid)
    log.warn('The wallet that pays for probes has little gas left', {
      event: 'chain.probe-gas-low',
      detail: `${wallet.address} has ${state.balanceMist} MIST, which lasts less than ${LOW_GAS_DAYS} days`,
    });
  state.isLowGasSaid = isLow;
}

/** A gateway that probes for admissions is taken to need one an hour; one that does for anchors alone, one a day. */
const NEEDED_EVERY_MS = { off: DAY_MS, admissions: 3_600_000 } as const;

function isGasLow({ schedule, balanceMist, last }: State): boolean {
  if (balanceMist === undefined) return false;
  const everyMs = schedule.kind === 'every' ? schedule.everyMs : NEEDED_EVERY_MS[schedule.kind];
  const aDay = BigInt(Math.ceil(DAY_MS / everyMs));
  const costMist = last?.costMist ?? 1_010_000n;
  return balanceMist < costMist * aDay * BigInt(LOW_GAS_DAYS) || balanceMist < PROBE_BUDGET_MIST;
}

function statusOf(state: State): ProbeStatus {
  const { schedule, last, balanceMist, failure } = state;
  const sent = recent(state);
  return {
    schedule,
    seenAtMs: last?.seenAtMs,
    costMist: last?.costMist,
    sentToday: sent.length,
    spentTodayMist: sent.reduce((sum, { mist }) => sum + mist, 0n),
    balanceMist,
    isGasLow: isGasLow(state),
    hidden: last?.hidden ?? [],
    failure,
    anchors: state.anchoring.status(),
  };
}
