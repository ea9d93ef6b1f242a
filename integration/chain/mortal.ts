/**
 * A process that stakes and mints, and may be killed at a given moment: `mortal.ts <plan.json> [<step> <moment>]`. With
 * `isOneTransaction` both happen in the step `join`, else in the steps `stake` and `mint`. With an act it does that with the
 * stake of the node that stands, as the commands do.
 * The moments are set at the process's own rims, its journal and its network.
 */
import { readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { type Clock, type Journal, messageOf, silentLog, systemClock } from '#base';
import { createChainClient, createStakeChain, readWallet, type StakeAct, type Wallet } from '#chain';
import { paidInMist } from '#domain';
import { openJournal } from '#infrastructure';
import { createIo } from '../../src/cli/io.ts';
import { runAct, told } from '../../src/cli/stake-act.ts';
import type { StakeSession } from '../../src/cli/stake-session.ts';
import type { ChainWorld } from './chain-world.ts';

export const MOMENTS = [
  'before it is written down',
  'after it is written down, before it is sent',
  'when it is sent, before the answer',
  'after the answer, before the receipt is written',
  'after the receipt, before it is struck off',
  'after it is struck off',
] as const;
export type Moment = (typeof MOMENTS)[number];

interface Plan {
  readonly url: string;
  readonly deployment: Parameters<typeof createChainClient>[0]['deployment'];
  readonly keyFile: string;
  readonly journal: string;
  readonly nodeId: string;
  readonly recordId?: string;
  readonly stakeMist: string;
  readonly holderKey: string;
  readonly isOneTransaction: boolean;
  readonly act?: ActName;
}

/** What a top-up of the mortal adds. */
export const TOP_UP_MIST = 1_000_000_000n;

export const ACTS = ['rotate', 'top-up', 'unstake', 'withdraw'] as const;
export type ActName = (typeof ACTS)[number];

/** Whether a request sends a transaction. */
export function isExecution(input: string | URL | Request): boolean {
  const url = input instanceof Request ? input.url : input;
  return url.toString().endsWith('/ExecuteTransaction');
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // SIGKILL may be delivered a moment later: nothing must run in between.
  for (;;);
}

if (import.meta.main) await live();

async function live(): Promise<void> {
  const [file = '', dieAtStep, moment] = process.argv.slice(2);
  const plan = JSON.parse(await readFile(file, 'utf8')) as Plan;
  let step: string = plan.act ?? (plan.isOneTransaction ? 'join' : 'stake');
  const isTime = (now: Moment) => step === dieAtStep && moment === now;

  function mortal(journal: Journal): Journal {
    return {
      ...journal,
      write: async (key, value) => {
        if (key === 'pending' && isTime('before it is written down')) die();
        const isReceipt = key.startsWith('receipt/');
        if (isReceipt && isTime('after the answer, before the receipt is written')) die();
        await journal.write(key, value);
        if (key === 'pending' && isTime('after it is written down, before it is sent')) die();
        if (isReceipt && isTime('after the receipt, before it is struck off')) die();
      },
      remove: async (key) => {
        await journal.remove(key);
        if (isTime('after it is struck off')) die();
      },
      section: (name) => mortal(journal.section(name)),
    };
  }

  const client = createChainClient({
    endpoints: [plan.url],
    deployment: plan.deployment,
    clock: systemClock,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (isExecution(input) && isTime('when it is sent, before the answer')) {
        await response.arrayBuffer();
        die();
      }
      return response;
    },
  });
  const wallet = await readWallet(plan.keyFile);
  const journal = mortal(await openJournal(plan.journal));
  const chain = createStakeChain({ client, wallet, journal, log: silentLog });
  if (plan.act) return carryOutNamed(plan.act, plan, { actor: { client, wallet }, chain, journal });
  const request = { nodeId: plan.nodeId, stakeMist: BigInt(plan.stakeMist) };
  const holderKey = Uint8Array.from(Buffer.from(plan.holderKey, 'hex'));
  if (plan.isOneTransaction) {
    await chain.join({ ...request, holderKey });
    return;
  }
  const { objectId: recordId } = await chain.stakeForNode(request);
  step = 'mint';
  await chain.createWorkerSealToken({ recordId, holderKey });
}

type Session = Omit<StakeSession, 'record'>;

/** Does what the command of that name does, unasked: with the same notes in the journal. */
export async function carryOutNamed(
  name: ActName,
  { nodeId, recordId, holderKey }: { nodeId: string; recordId?: string; holderKey: string },
  session: Session,
): Promise<void> {
  const { chain, actor } = session;
  await chain.settlePending();
  const id = recordId ?? (await chain.liveRecordOf(nodeId)) ?? '';
  const record = (await chain.records([id])).get(id);
  if (!record) throw new Error(`no record of ${nodeId}`);
  const { state } = await actor.client.clusterState();
  const acts: Readonly<Record<ActName, () => StakeAct>> = {
    rotate: () => ({
      kind: 'rotate',
      recordId: id,
      tokenId: record.token ?? '',
      holderKey: Uint8Array.from(Buffer.from(holderKey, 'hex')),
    }),
    'top-up': () => ({
      kind: 'top-up',
      recordId: id,
      amountMist: TOP_UP_MIST,
      paidInMist: paidInMist(record),
      termsVersion: state.termsVersion,
    }),
    unstake: () => ({ kind: 'unstake', recordId: id }),
    withdraw: () => ({ kind: 'withdraw', recordId: id }),
  };
  const act = acts[name]();
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const io = createIo({ json: true, stdout: silent, stderr: silent });
  const announcement = { question: `${name}?`, facts: [] };
  await runAct(io, { ...session, record }, act, { yes: true }, announcement);
  await told(session, act);
}

export interface MortalLife {
  readonly world: Pick<ChainWorld, 'url' | 'deployment'>;
  readonly wallet: Wallet;
  readonly journalFile: string;
}

/** Resolves with `true` when the life ended at this step of its journal and network: from then on nothing of it happens. */
export async function diesAtStep(
  step: number,
  { world, wallet, journalFile }: MortalLife,
  live: (session: Session) => Promise<void>,
): Promise<boolean> {
  let left = step;
  const pulse = () => {
    left -= 1;
    if (left <= 0) throw new Error('dead');
  };
  const mortal = (journal: Journal): Journal => ({
    ...journal,
    write: async (key, value) => {
      pulse();
      await journal.write(key, value);
      pulse();
    },
    remove: async (key) => {
      pulse();
      await journal.remove(key);
      pulse();
    },
    section: (name) => mortal(journal.section(name)),
  });
  const client = createChainClient({
    endpoints: [world.url],
    deployment: world.deployment,
    // The dead wait for nothing.
    clock: impatientClock(),
    retryForMs: 0,
    fetch: async (input, init) => {
      pulse();
      const response = await fetch(input, init);
      const body = await response.arrayBuffer();
      pulse();
      return new Response(body, response);
    },
  });
  const journal = mortal(await openJournal(journalFile));
  const chain = createStakeChain({ client, wallet, journal, log: silentLog, settleForMs: 0 });
  try {
    await live({ actor: { client, wallet }, chain, journal });
  } catch (error) {
    if (messageOf(error).includes('dead')) return true;
    throw error;
  }
  return false;
}

/** A clock on which every sleep is over at once. */
function impatientClock(): Clock {
  let waitedMs = 0;
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + waitedMs,
    sleep: async (delayMs) => {
      waitedMs += delayMs;
    },
  };
}

/** Dies right after the first write is durable. */
export function dyingAfterWrite(journal: Journal): Journal {
  return {
    ...journal,
    write: async (key, value) => {
      await journal.write(key, value);
      throw new Error('died');
    },
    section: (name) => dyingAfterWrite(journal.section(name)),
  };
}
