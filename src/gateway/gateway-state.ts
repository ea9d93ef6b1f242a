import { join } from 'node:path';
import { type Clock, DaasError, errorFields, type Log, systemClock } from '#base';
import type { StateEngine, StateObjects } from '#domain';
import {
  createStore,
  type KeyRing,
  type Leadership,
  openEtcdState,
  openKeyRing,
  openKubernetesState,
  openSqliteEngine,
  refuseSealed,
  refuseUnfinished,
  type SealedEngine,
  type Store,
  sealEngine,
  soleLeadership,
} from '#state';
import type { RunnableGatewayConfig } from './config.ts';

/** The gateway's state, and whether this gateway may change it. */
export interface GatewayState extends AsyncDisposable {
  readonly store: Store;
  readonly leadership: Leadership;
  /** Seals with another key as soon as there is one, until the signal aborts. */
  keepSealed(signal: AbortSignal): Promise<void>;
}

/** Opens the objects of a state in Kubernetes, with the gateway's credentials; needed for that engine alone. */
export type OpenStateObjects = () => StateObjects | Promise<StateObjects>;

export interface GatewayStateOptions {
  readonly config: Pick<RunnableGatewayConfig, 'stateDir' | 'state' | 'gatewayId'>;
  readonly clusterId: string;
  readonly openStateObjects?: OpenStateObjects | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Which state, by the configuration. */
export interface StateSite {
  readonly config: Pick<RunnableGatewayConfig, 'stateDir' | 'state'> & {
    readonly gatewayId?: string | undefined;
  };
  readonly clusterId: string;
  readonly openStateObjects?: OpenStateObjects | undefined;
}

/**
 * Opens the state that the configuration names, and examines it.
 * @throws `DAAS_GATEWAY_STORE_BUSY`, `DAAS_GATEWAY_STORE_DAMAGED`, `DAAS_STATE_…`
 */
export async function openGatewayState(options: GatewayStateOptions): Promise<GatewayState> {
  const { config, clusterId } = options;
  const ring = await keysOf(config);
  const { engine, leadership } = await openEngine(options);
  try {
    await refuseUnfinished(engine);
    const sealed = ring && (await sealEngine(engine, ring, clusterId));
    if (!sealed) await refuseSealed(engine);
    const store = createStore(sealed ?? engine);
    return {
      store,
      leadership,
      keepSealed: (signal) => keepSealed(options, { ring, sealed, leadership }, signal),
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    };
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

/** Of several gateways, this one stands for election from now on. */
export async function openEngine(
  { config, clusterId, openStateObjects }: StateSite,
  { isCandidate = true } = {},
): Promise<{ readonly engine: StateEngine; readonly leadership: Leadership }> {
  const { state, gatewayId: name = 'an operator’s command' } = config;
  if (state.engine === 'sqlite')
    return { engine: openSqliteEngine(statePath(config)), leadership: soleLeadership(name) };
  // A lease ends by the time that passes elsewhere, too: no other clock will do.
  const candidate = { name, clock: systemClock, isCandidate };
  if (state.engine === 'kubernetes') {
    if (!openStateObjects) throw new RangeError('openEngine: the engine kubernetes needs openStateObjects');
    return openKubernetesState({ ...candidate, ...state.kubernetes, objects: await openStateObjects() });
  }
  const { prefix = `/k3s-daas/${clusterId}`, ...access } = state.etcd;
  return openEtcdState({ ...access, prefix, ...candidate });
}

export const statePath = ({ stateDir }: Pick<RunnableGatewayConfig, 'stateDir'>): string =>
  join(stateDir, 'gateway.db');

/** `undefined`: values are not sealed. */
export async function keysOf({
  state: { keys },
}: Pick<RunnableGatewayConfig, 'state'>): Promise<KeyRing | undefined> {
  const isSet = Object.values(keys).some((source) => source !== undefined);
  return isSet ? openKeyRing(keys) : undefined;
}

interface Kept {
  readonly ring: KeyRing | undefined;
  readonly sealed: SealedEngine | undefined;
  readonly leadership: Leadership;
}

async function keepSealed(
  { clock, log }: GatewayStateOptions,
  { ring, sealed, leadership }: Kept,
  signal: AbortSignal,
): Promise<void> {
  if (!ring || !sealed) return;
  let isDue = true;
  let reported: string | undefined;
  while (!signal.aborted) {
    try {
      // A key that came while another gateway led is used by the one that leads next.
      if (await ring.refresh()) isDue = true;
      if (isDue && leadership.isLeading()) {
        await sealAnew({ ring, sealed, log });
        isDue = false;
      }
      reported = undefined;
    } catch (error) {
      const code = error instanceof DaasError ? error.code : 'unexpected';
      // Once: it is tried again and again.
      if (code !== reported) log.error('The keys of the state cannot be read or used', errorFields(error));
      reported = code;
    }
    await clock.sleep(ring.refreshEveryMs, signal).catch(() => undefined);
  }
}

async function sealAnew({
  ring,
  sealed,
  log,
}: {
  readonly ring: KeyRing;
  readonly sealed: SealedEngine;
  readonly log: Log;
}): Promise<void> {
  const count = await sealed.reseal();
  if (count > 0)
    log.info('The state is sealed with another key: the earlier ones can go', {
      event: 'state.resealed',
      detail: `${count} records, key ${ring.current().id}`,
    });
}
