export type { OpenNotice } from './attention.ts';
export {
  type Catalog,
  type CatalogOptions,
  defaultDeadlines,
  loadCatalog,
} from './catalog.ts';
export {
  type BuiltIns,
  type DiscoveryOptions,
  discoverPlugin,
  type PluginEntry,
  packageDirectory,
} from './discovery.ts';
export { PluginError, type PluginPhase } from './errors.ts';
export { createEventBus, type HostEventBus } from './events.ts';
export { createHealthRegistry, type HealthRegistry, type HostHealth } from './health.ts';
export {
  createHost,
  type Host,
  type HostOptions,
  type SignalSource,
} from './host.ts';
export type { HostStatus } from './host-status.ts';
export type { CatalogDeadlines } from './hosted-plugin.ts';
export { readLatch } from './latch.ts';
export type { HostOutcome } from './lifecycle.ts';
export {
  HostAgent,
  HostEventsPart,
  HostJournal,
  HostLife,
  HostLog,
  HostRandom,
  HostSignal,
  hostParts,
} from './parts.ts';
export { integrityOf } from './plugin-integrity.ts';
export {
  bind,
  bindPerPlugin,
  createServiceContainer,
  type ServiceBinding,
  type ServiceContainer,
} from './plugin-services.ts';
export { validatePlugins } from './plugin-validation.ts';
export { type PreviewOptions, previewStart, refuseWrite, type StartPreview } from './preview.ts';
export { defaultTaskPolicy, type TaskPolicy } from './tasks.ts';
