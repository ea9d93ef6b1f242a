import { ConfigurationError } from '#base';
import { type AnchorMode, type ProbeSchedule, type ProbeStatus, readWallet, type Wallet } from '#chain';
import type { Settings } from '#infrastructure';
import { type GatewaySettings, pathOf, rowOf } from './settings.ts';

/** When the gateway probes the chain, what its probes anchor, and the wallet that pays. */
export interface ProbeSettings {
  readonly schedule: ProbeSchedule;
  /** `undefined`: nothing of the audit file is anchored. */
  readonly anchor: AnchorMode | undefined;
  readonly wallet: Wallet;
}

/**
 * `undefined`: nothing is paid.
 * @throws `DAAS_PROBE_KEY_MISSING`, `DAAS_ANCHOR_WITHOUT_PROBES`, and what is wrong with the key file.
 */
export async function probeOf(settings: Settings<GatewaySettings>): Promise<ProbeSettings | undefined> {
  const { mode, everyMs } = settings.value.chain.probe;
  const { anchor } = settings.value.gateway.audit;
  if (mode === 'off' && anchor === 'off') return undefined;
  if (mode === 'off' && anchor === 'probes')
    throw new ConfigurationError(
      'DAAS_ANCHOR_WITHOUT_PROBES',
      `gateway.audit.anchor is probes (${rowOf(settings, 'gateway.audit.anchor').origin}), and chain.probe.mode is off: no probe would carry anything. Set gateway.audit.anchor to daily, or chain.probe.mode to admissions or every`,
    );
  const file = pathOf(settings, 'chain.probe.keyFile');
  if (file === undefined)
    throw keyMissing(settings, mode === 'off' ? 'gateway.audit.anchor' : 'chain.probe.mode');
  return {
    schedule: mode === 'every' ? { kind: mode, everyMs } : { kind: mode },
    anchor: anchor === 'off' ? undefined : anchor,
    wallet: await readWallet(file),
  };
}

function keyMissing(
  settings: Settings<GatewaySettings>,
  name: 'gateway.audit.anchor' | 'chain.probe.mode',
): ConfigurationError {
  const { value, origin } = rowOf(settings, name);
  return new ConfigurationError(
    'DAAS_PROBE_KEY_MISSING',
    `${name} is ${String(value)} (${origin}), and no wallet pays for the probes: set chain.probe.keyFile to a file with the key of a wallet that has a few SUI, or ${name} to off`,
    { details: { [name]: value } },
  );
}

/** As JSON; `null` where nothing is paid. */
export function probeFigures(
  status: ProbeStatus | undefined,
  nowMs: number,
): Readonly<Record<string, unknown>> | null {
  if (!status) return null;
  const { schedule, seenAtMs } = status;
  return {
    mode: schedule.kind,
    every_ms: schedule.kind === 'every' ? schedule.everyMs : null,
    seen_at: seenAtMs ?? null,
    age_ms: seenAtMs === undefined ? null : Math.max(0, nowMs - seenAtMs),
    cost_mist: status.costMist?.toString() ?? null,
    sent_today: status.sentToday,
    spent_today_mist: status.spentTodayMist.toString(),
    balance_mist: status.balanceMist?.toString() ?? null,
    gas_low: status.isGasLow,
    hidden: status.hidden,
    failure: status.failure ?? null,
    anchor: anchorFigures(status),
  };
}

function anchorFigures({ anchors }: ProbeStatus): Readonly<Record<string, unknown>> | null {
  if (!anchors) return null;
  const { mode, newest, ageMs } = anchors;
  return {
    mode,
    age_ms: ageMs,
    sequence: newest?.sequence ?? null,
    hash: newest?.hash ?? null,
    transaction: newest?.digest ?? null,
  };
}
