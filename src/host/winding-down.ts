import { errorFields } from '#base';
import type { Ending } from './consequences.ts';
import type { LifeContext, LifecycleServices } from './life-context.ts';
import { clearOut, lockOut } from './lock-out.ts';

type Context = LifeContext & LifecycleServices;

/** Undoes what the life of the host did, as its ending demands. `living` is that life. Whether everything was undone. */
export async function windDown(ending: Ending, living: Promise<void>, context: Context): Promise<boolean> {
  const { phases } = context;
  phases.enter('drain', ending.detail);
  switch (ending.undo) {
    case 'drain':
      return drain(living, context);
    case 'drain-and-clear':
      await drain(living, context);
      return clearOut(context);
    case 'clear':
      return clearOut(context).finally(() => phases.enter('stop'));
    case 'latch':
      return lockOut(ending, context).finally(() => phases.enter('stop'));
    default:
      return ending.undo satisfies never;
  }
}

/** Stops agent and plugins together, so that a slow agent does not keep the plugins busy. Whether all of it stopped. */
async function drain(living: Promise<void>, context: Context): Promise<boolean> {
  const { settings, agent, catalog, clock, log, end, phases } = context;
  const work = Promise.all([agent.stop(), catalog.drain(), living]).then(
    () => 'done' as const,
    (error: unknown) => {
      log.error('Stopping failed', errorFields(error));
      return 'failed' as const;
    },
  );
  const done = new AbortController();
  const how = await Promise.race([
    work,
    clock.sleep(settings.drainDeadlineMs, done.signal).then(() => 'late' as const),
    end.hurried.then(() => 'hurried' as const),
  ]);
  done.abort();
  if (how === 'late' || how === 'hurried') {
    log.warn('Ending before everything is undone', { reason: how, agentState: agent.state().kind });
    // An agent must not outlive its host: kill it now; its disposal waits until it has exited.
    void agent.stop({ atOnce: true }).catch(() => undefined);
  }
  phases.enter('stop');
  return how === 'done';
}
