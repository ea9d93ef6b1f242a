import type { Clock, Log } from '#base';
import type { KubernetesPort } from '#domain';
import type { RunnableGatewayConfig } from './config.ts';
import { createFailureLog, type FailureLog } from './failure-log.ts';
import { operatorsNodeAddresses } from './node-addresses.ts';
import type { Reconciler } from './reconciler.ts';

export interface HeldAddressesOptions {
  readonly kubernetes: Pick<KubernetesPort, 'holdAddresses'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: Pick<RunnableGatewayConfig, 'allowUnboundNames'>;
}

type Sight = Pick<Reconciler, 'nodes' | 'names' | 'addressChanges'>;

/** What the list was made of. */
interface Seen {
  readonly changes: number;
  readonly names: ReadonlyMap<string, string>;
}

interface Keeper extends HeldAddressesOptions {
  readonly reconciler: Sight;
  readonly failures: FailureLog;
  seen: Seen | undefined;
  listed: string | undefined;
  writtenAtMs: number;
}

const tickMs = 1_000;
/** The list may have been changed, or put back, in the cluster. */
const lookEveryMs = 60_000;

/**
 * Keeps the list of addresses that no staked node may begin to report. It stands while no gateway runs. `undefined`: no policy
 * reads it in this cluster.
 */
export function heldAddresses(
  options: HeldAddressesOptions,
  reconciler: Sight,
): { run(signal: AbortSignal): Promise<void> } | undefined {
  const { clock, config } = options;
  if (config.allowUnboundNames) return undefined;
  return {
    async run(signal) {
      const failures = createFailureLog(options, {
        failed: 'The addresses of the operator’s nodes could not be listed',
        worked: 'The addresses of the operator’s nodes are listed again',
      });
      const keeper: Keeper = {
        ...options,
        reconciler,
        failures,
        seen: undefined,
        listed: undefined,
        writtenAtMs: 0,
      };
      while (!signal.aborted) {
        await look(keeper, signal);
        await clock.sleep(tickMs, signal).catch(() => undefined);
      }
    },
  };
}

/** Costs a look at one Role a minute while no Node and no name has changed. */
async function look(keeper: Keeper, signal: AbortSignal): Promise<void> {
  const { kubernetes, reconciler, failures, clock } = keeper;
  const nowMs = clock.monotonicMs();
  if (nowMs - keeper.writtenAtMs >= lookEveryMs)
    Object.assign(keeper, { seen: undefined, listed: undefined });
  const { seen } = keeper;
  const [nodes, names, changes] = [reconciler.nodes(), reconciler.names(), reconciler.addressChanges()];
  if (!nodes || !names || (seen?.changes === changes && seen.names === names)) return;
  const addresses = [...operatorsNodeAddresses(nodes, names).keys()].sort();
  try {
    if (addresses.join() !== keeper.listed) {
      await kubernetes.holdAddresses(addresses, signal);
      keeper.writtenAtMs = nowMs;
    }
    keeper.listed = addresses.join();
    keeper.seen = { changes, names };
    failures.worked();
  } catch (error) {
    if (!signal.aborted) failures.failed(error);
  }
}
