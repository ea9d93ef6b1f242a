import { evidenceAdvice, registeredMeasurement, timeText, type Verdict } from '#tee';
import { table } from './io.ts';

/** What the verdict is shown for; a stand-in's evidence proves nothing, whatever it passes. */
type Asked = 'show' | 'verify' | 'stand-in';
type Claims = NonNullable<Verdict['claims']>;

/** For people: what was decided, why, and what the evidence shows. */
export function verdictText(verdict: Verdict, by: Asked): string {
  const { claims, reasons } = verdict;
  const rows = [
    ['kind', verdict.kind],
    ...(claims ? claimRows(claims) : []),
    ...(claims ? registrationRows(verdict.kind, claims) : []),
    ...(by === 'verify' ? decisionRows(verdict) : []),
  ];
  const faults = reasons.map(({ check, message }) => [check, message]);
  const advice = by === 'stand-in' ? [] : evidenceAdvice(reasons.map(({ check }) => check));
  return [
    headline(verdict, by),
    table(rows),
    ...(faults.length > 0 ? ['', table(faults)] : []),
    ...(advice.length > 0 ? ['', 'What to do', table(advice.map(adviceRow))] : []),
  ].join('\n');
}

function adviceRow({ by, what, command = '' }: ReturnType<typeof evidenceAdvice>[number]): string[] {
  return [`  ${by === 'machine' ? 'on the machine' : 'by the policy'}`, what, command];
}

function headline({ accepted, covers, kind }: Verdict, by: Asked): string {
  if (by === 'stand-in')
    return `The evidence of the stand-in is ${accepted ? 'whole' : 'faulty'}. It proves nothing of this machine.`;
  if (by === 'show' && accepted && kind === 'tpm')
    return 'The evidence is whole. No vendor vouches for the key of a TPM: whether it is yours is for a policy, `k3s-daas tee verify`.';
  if (by === 'show')
    return accepted
      ? 'The evidence is genuine at this time. Whether it is the right machine is for a policy: `k3s-daas tee verify`.'
      : 'The evidence does not pass at this time, whatever a policy says.';
  return accepted ? `Accepted. What was measured covers: ${covers}.` : 'Refused.';
}

function decisionRows({ measurement, covers, isBound }: Verdict): string[][] {
  return [
    ['measurement', measurement ?? 'not one of the policy’s'],
    ['covers', covers],
    ['bound', isBound ? 'compared with --report-data' : 'not compared: pass --report-data'],
  ];
}

function claimRows({ platform, measurements, reportData, madeAtMs, tcb, advisories = [], details }: Claims) {
  return [
    ['platform', platform],
    ...(madeAtMs === undefined ? [] : [['made at', timeText(madeAtMs)]]),
    ...measurementRows(measurements),
    ['report data', reportData ? hex(reportData) : 'none'],
    ...Object.entries(tcb ?? {}).map(([part, value]) => [`TCB: ${part}`, valueText(value)]),
    ...(advisories.length > 0 ? [['advisories', advisories.join(', ')]] : []),
    ...Object.entries(details ?? {}).map(([name, value]) => [name, String(value)]),
  ];
}

/** What `cluster gateway add --measurement` takes. */
function registrationRows(kind: Verdict['kind'], { measurements }: Claims): string[][] {
  const measurement = registeredMeasurement(kind, measurements);
  return measurement ? [['measurement for the chain', hex(measurement)]] : [];
}

/** A register that nothing was measured into is named, not written out: documents of Nitro have a dozen of them. */
function measurementRows(measurements: Claims['measurements']): string[][] {
  const all = Object.entries(measurements);
  const zeros = all.filter(([, value]) => /^0+$/.test(value)).map(([register]) => register);
  return [
    ...all
      .filter(([register]) => !zeros.includes(register))
      .map(([register, value]) => [`  ${register}`, value]),
    ...(zeros.length > 0 ? [['  zero', zeros.join(', ')]] : []),
  ];
}

function valueText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([part, level]) => `${part} ${String(level)}`)
    .join(', ');
}

export function verdictJson({ claims, ...verdict }: Verdict): Record<string, unknown> {
  const measurement = claims && registeredMeasurement(verdict.kind, claims.measurements);
  return {
    ...verdict,
    measurementForChain: measurement ? hex(measurement) : null,
    claims: claims && { ...claims, reportData: claims.reportData ? hex(claims.reportData) : null },
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
