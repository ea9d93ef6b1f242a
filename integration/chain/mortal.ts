/**
 * A process that stakes and mints, and may be killed at a given moment: `mortal.ts <plan.json> [<step> <moment>]`. With
 * `isOneTransaction` both happen in the step `join`, else in the steps `stake` and `mint`.
 * The moments are set at the process's own rims, its journal and its network.
 */
import { readFile } from 'node:fs/promises';
import { type Clock, type Journal, silentLog, systemClock } from '#base';
import { createChainClient, createStakeChain, readWallet } from '#chain';
import { openJournal } from '#infrastructure';

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
  readonly stakeMist: string;
  readonly holderKey: string;
  readonly isOneTransaction: boolean;
}

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
  let step = plan.isOneTransaction ? 'join' : 'stake';
  const isTime = (now: Moment) => step === dieAtStep && moment === now;

  function mortal(journal: Journal): Journal {
    return {
      ...journal,
      write: async (key, value) => {
        if (key === 'pending' && isTime('before it is written down')) die();
        if (key !== 'pending' && isTime('after the answer, before the receipt is written')) die();
        await journal.write(key, value);
        if (key === 'pending' && isTime('after it is written down, before it is sent')) die();
        if (key !== 'pending' && isTime('after the receipt, before it is struck off')) die();
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
  const chain = createStakeChain({
    client,
    wallet: await readWallet(plan.keyFile),
    journal: mortal(await openJournal(plan.journal)),
    log: silentLog,
  });
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

/** A clock on which every sleep is over at once. */
export function impatientClock(): Clock {
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
