// A complete plugin: plain JavaScript, a package of its own.
import { AgentArguments, definePlugin, HostClock } from 'k3s-daas/plugin';
import { z } from 'zod';
import { labelArguments } from './labels.js';

// The host checks the configurations of all plugins before it starts anything. Unknown keys are errors.
const Config = z.strictObject({
  labels: z.record(
    z.string().regex(/^[a-z0-9]([a-z0-9./-]*[a-z0-9])?$/, 'expected a label such as example.com/zone'),
    z
      .string()
      .regex(/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/, 'expected a label value of at most 63 characters'),
  ),
  slowAfterMs: z.int().min(1).default(60_000),
});

export default definePlugin({
  name: 'node-labels',
  api: 1,
  config: Config,
  // `setup` gets these services, and can reach no others.
  needs: { clock: HostClock },

  setup(scope, { clock }) {
    const { config, log } = scope;
    const begunAtMs = clock.monotonicMs();
    let joinedAfterMs;

    // An extension point: the host calls it before every start of the agent.
    scope.provide(AgentArguments, { agentArguments: () => labelArguments(config.labels) });

    // An event: a fact of the host's life, in the past tense.
    scope.on('agent.ready', ({ pid }) => {
      joinedAfterMs ??= clock.monotonicMs() - begunAtMs;
      log.info('The labelled agent is ready', { pid, joinedAfterMs });
    });

    // A task: a supervised loop. If it throws, it runs again after a growing delay. It ends when its signal aborts.
    scope.run('watch-the-join', async (signal) => {
      await clock.sleep(config.slowAfterMs, signal);
      if (joinedAfterMs === undefined) log.warn('The join takes long', { slowAfterMs: config.slowAfterMs });
    });

    // Health: while this is not ready, the joined host is degraded, for the reason in `detail`.
    scope.health(() => ({
      live: true,
      ready: joinedAfterMs !== undefined,
      detail: joinedAfterMs === undefined ? 'the agent is not ready yet' : `joined after ${joinedAfterMs} ms`,
    }));

    // Register how to undo a thing in the line after it. The host undoes everything last in, first out.
    scope.release('goodbye', () => log.info('The labels stay on the Node until they are removed'));
  },
});
