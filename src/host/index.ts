export {
  type Catalog,
  type CatalogDeadlines,
  type CatalogOptions,
  defaultDeadlines,
  HostStopping,
  loadCatalog,
  validatePlugins,
} from './catalog.ts';
export {
  bind,
  bindPerPlugin,
  createServiceContainer,
  type ServiceBinding,
  type ServiceContainer,
} from './container.ts';
export {
  type BuiltIns,
  type DiscoveryOptions,
  discoverPlugin,
  PLUGIN_API,
  type PluginEntry,
} from './discovery.ts';
export { PluginError, type PluginPhase } from './errors.ts';
export { createEventBus, type HostEventBus } from './events.ts';
export { createHealthRegistry, type HealthRegistry, type HostHealth } from './health.ts';
export {
  createHost,
  type Host,
  type HostContext,
  type HostOptions,
  type HostServices,
  type PreparedHost,
  type SignalSource,
} from './host.ts';
export { readLatch } from './latch.ts';
export type { HostOutcome } from './lifecycle.ts';
export { type PreviewOptions, previewStart, refuseWrite, type StartPreview } from './preview.ts';
export { defaultTaskPolicy, type TaskPolicy } from './tasks.ts';
