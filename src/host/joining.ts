import { aborted, errorFields } from '#base';
import type { Registration } from '#plugin';
import { isAtHome, isSameNode, type JoinedBefore, readJoin, startOf } from './joined-before.ts';
import type { NodeContext } from './life-context.ts';
import { refuseLatched } from './lock-out.ts';
import type { Registrar } from './registrar.ts';

/** What the agent does about the first registration of this life. */
export type FirstStart =
  /** Start, or restart, with what the gateway gave. */
  | 'with-the-reply'
  /** The agent runs as the gateway wants it: restart only if it needs the credential. */
  | 'keep-running'
  /** Start on the certificates of the last join; register when chain and gateway answer. */
  | 'on-certificates'
  /** The agent runs on those certificates already; register when chain and gateway answer. */
  | 'run-on';

/** `reply` is undefined when none came in time, which only a node that has joined before does not wait for. */
export function firstStart(
  reply: Pick<Registration, 'nodeLabels' | 'taints'> | undefined,
  joined: JoinedBefore | undefined,
  isRunning: boolean,
): FirstStart {
  if (!reply) return isRunning ? 'run-on' : 'on-certificates';
  return isRunning && joined && isSameNode(reply, joined) ? 'keep-running' : 'with-the-reply';
}

/**
 * From preflight until the agent is Ready. `resumed` is the join on whose certificates the agent was started before
 * anything else was loaded. Resolves early when the host is to end.
 */
export async function join(
  context: NodeContext,
  registrar: Registrar,
  resumed: JoinedBefore | undefined,
): Promise<void> {
  const { catalog, agent, journal, settings, questions, starts, phases, end } = context;
  end.signal.throwIfAborted();
  let latch: Awaited<ReturnType<typeof refuseLatched>>;
  if (!resumed) {
    phases.enter('preflight');
    latch = await refuseLatched(context);
    await agent.preflight(end.signal);
  }
  catalog.start();
  const joined = resumed ?? readJoin(journal);
  const isRunning = joined !== undefined && isAtHome(joined, settings);
  if (resumed) void starts.refresh(resumed);
  else if (isRunning) void starts.start(startOf(joined));
  const registering = registrar.register(latch);
  const stopWatching = questions.watchJoinDeadline();
  const reply = joined ? await inTime(registering, context) : await registering;
  await startFirst(reply, registering, { context, joined, isRunning });
  await Promise.race([starts.ready, aborted(end.signal)]);
  stopWatching();
}

/** The reply, if it comes while a node that has joined before waits for it. */
function inTime(
  registering: Promise<Registration>,
  { clock, settings, end }: NodeContext,
): Promise<Registration | undefined> {
  const late = clock.sleep(settings.joinPatienceMs, end.signal).then(() => undefined);
  return Promise.race([registering, late]);
}

interface Situation {
  readonly context: NodeContext;
  readonly joined: JoinedBefore | undefined;
  readonly isRunning: boolean;
}

async function startFirst(
  reply: Registration | undefined,
  registering: Promise<Registration>,
  { context, joined, isRunning }: Situation,
): Promise<void> {
  const { starts } = context;
  const how = firstStart(reply, joined, isRunning);
  switch (how) {
    case 'with-the-reply':
      if (reply) void starts.start(reply);
      return;
    case 'keep-running':
      return useWhenRegistered(registering, context);
    case 'on-certificates':
    case 'run-on':
      sayUnregistered(context);
      if (how === 'on-certificates' && joined) void starts.start(startOf(joined));
      void useWhenRegistered(registering, context);
      return;
    default:
      return how satisfies never;
  }
}

function sayUnregistered({ phases, log, questions }: NodeContext): void {
  const detail = 'starting on the certificates of an earlier join: the chain or the gateway does not answer';
  phases.degrade('registration', detail);
  const { lastProblem } = questions;
  log.warn('Starting without a registration', lastProblem === undefined ? {} : errorFields(lastProblem));
}

async function useWhenRegistered(
  registering: Promise<Registration>,
  { phases, starts, end }: NodeContext,
): Promise<void> {
  try {
    const registration = await registering;
    phases.degrade('registration', undefined);
    await starts.useOrKeep(registration);
  } catch (error) {
    end.fail(error);
  }
}
