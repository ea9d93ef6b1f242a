import { type Clock, DaasError, type Journal, type Log } from '#base';
import type { ChainReader } from '#domain';
import {
  Agent,
  errorFacts,
  HostClock,
  HostControl,
  JoinCredentialSource,
  PluginJournal,
  SealTokenSource,
} from '#plugin';
import { type Catalog, defaultDeadlines, loadCatalog } from './catalog.ts';
import { withDeadline } from './deadline.ts';
import type { BuiltIns, PluginEntry } from './discovery.ts';
import { createEventBus } from './events.ts';
import { createHealthRegistry } from './health.ts';
import { readLatch } from './latch.ts';
import { refuseSameRecord } from './lock-out.ts';
import { bind, bindPerPlugin, createServiceContainer, type ServiceBinding } from './plugin-services.ts';
import { defaultTaskPolicy } from './tasks.ts';

export interface PreviewOptions {
  readonly nodeId: string;
  readonly stateDir: string;
  readonly plugins: readonly PluginEntry[];
  readonly builtIns: BuiltIns;
  readonly pluginDirectory: string;
  /** `--stake-again`: the latch does not stop the start. */
  readonly mayStakeAgain: boolean;
  readonly chain: Pick<ChainReader, 'liveRecordOf'>;
  /** Services of which every write is refused. */
  readonly bindings: readonly ServiceBinding[];
  /** What is written to it is not kept. */
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
}

export interface StartPreview {
  readonly plan: string;
  /** What the start would end with. */
  readonly stop: DaasError | undefined;
}

const previewDeadlineMs = 60_000;

/**
 * What a start would do about the stake, from the plugin that provides `SealTokenSource`. All plugins are loaded and set up
 * as at a start, on services that refuse to write; no task runs. Throws what a start would retry.
 */
export async function previewStart(options: PreviewOptions): Promise<StartPreview> {
  await using catalog = await loadForPreview(options);
  try {
    await refuseLatched(options);
    return { plan: await planOf(catalog, options.clock), stop: undefined };
  } catch (error) {
    // What may pass by itself says nothing about the configuration.
    if (!(error instanceof DaasError) || errorFacts(error).isRetryable) throw error;
    return { plan: `${error.message}: it would stop here`, stop: error };
  }
}

function loadForPreview(options: PreviewOptions): Promise<Catalog> {
  const { clock, log, journal } = options;
  return loadCatalog({
    entries: options.plugins,
    discovery: { builtIns: options.builtIns, directory: options.pluginDirectory },
    services: createServiceContainer([
      ...options.bindings,
      bind(Agent, idleAgent),
      bind(HostControl, { stop: () => undefined, reregister: () => undefined, cloned: () => false }),
      bind(HostClock, clock),
      bindPerPlugin(PluginJournal, (plugin) => journal.section(`plugin/${plugin}`)),
    ]),
    events: createEventBus(log),
    health: createHealthRegistry(),
    clock,
    log,
    random: Math.random,
    taskPolicy: defaultTaskPolicy,
    deadlines: defaultDeadlines,
    points: [SealTokenSource, JoinCredentialSource],
    onFailed: () => undefined,
  });
}

const idleAgent: Agent = {
  state: () => ({ kind: 'idle' }),
  runningPods: async () => undefined,
  resourceUsage: async () => ({ cpuPercent: 0, memoryPercent: 0, diskPercent: 0 }),
  k3sVersion: () => undefined,
};

async function planOf(catalog: Catalog, clock: Clock): Promise<string> {
  const source = catalog.one(SealTokenSource);
  const [provider = ''] = catalog.providersOf(SealTokenSource);
  const stop = new AbortController();
  const what = `${provider}(SealTokenSource): the preview`;
  try {
    return await withDeadline(askPlan(source, provider, stop.signal), {
      what,
      deadlineMs: previewDeadlineMs,
      clock,
    });
  } finally {
    stop.abort();
  }
}

async function askPlan(source: SealTokenSource, provider: string, signal: AbortSignal): Promise<string> {
  if (source.preview) return (await source.preview(signal)).plan;
  const standing = await source.find(signal);
  return standing
    ? `record ${standing.recordId} stands, with the Seal token ${standing.tokenId}`
    : `nothing stands yet; the plugin '${provider}' has no preview of what it would do`;
}

/** As a start does: the latch holds until another record stands for this node. */
async function refuseLatched({ stateDir, nodeId, mayStakeAgain, chain }: PreviewOptions): Promise<void> {
  const latch = mayStakeAgain ? undefined : await readLatch(stateDir);
  if (!latch) return;
  refuseSameRecord(latch, await chain.liveRecordOf(nodeId), stateDir);
}

/** For the services of a preview: throws `DAAS_DRY_RUN`. */
export function refuseWrite(what: string): never {
  throw new DaasError('DAAS_DRY_RUN', `${what} is not possible in a dry run, which only reads`, {
    details: { what },
  });
}
