import { ConfigurationError } from '#base';
import { type ProbeSchedule, type ProbeStatus, readWallet, type Wallet } from '#chain';
import { type Loaded, pathOf, rowOf } from './settings.ts';

/** When the gateway probes the chain, and the wallet that pays. */
export interface ProbeSettings {
  readonly schedule: ProbeSchedule;
  readonly wallet: Wallet;
}

/** `undefined`: nothing is paid. Throws `DAAS_PROBE_KEY_MISSING` and what is wrong with the key file. */
export async function probeOf(settings: Loaded): Promise<ProbeSettings | undefined> {
  const { mode, everyMs } = settings.value.chain.probe;
  if (mode === 'off') return undefined;
  const file = pathOf(settings, 'chain.probe.keyFile');
  if (file === undefined)
    throw new ConfigurationError(
      'DAAS_PROBE_KEY_MISSING',
      `chain.probe.mode is ${mode} (${rowOf(settings, 'chain.probe.mode').origin}), and no wallet pays for the probes: set chain.probe.keyFile to a file with the key of a wallet that has a few SUI, or the mode to off`,
      { details: { mode } },
    );
  const schedule: ProbeSchedule = mode === 'every' ? { kind: 'every', everyMs } : { kind: 'admissions' };
  return { schedule, wallet: await readWallet(file) };
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
  };
}
