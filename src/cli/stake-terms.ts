import { type ClusterSnapshot, type ParameterState, parametersAt, termsFingerprint } from '#chain';
import { formatDuration, formatTime } from './chain-options.ts';
import { parameterRows } from './cluster-parameters.ts';

type Row = readonly [string, string];

/** Parameters that are shown as they are; the others have a sentence of their own below. */
const UNEXPLAINED: ReadonlySet<string> = new Set([
  'minimum worker stake',
  'minimum top-up',
  'longest token life',
  'proposal life',
]);

/** What somebody who stakes agrees to: for how long the coins are locked, who may take them, and what is announced. */
export function termsRows({ state, nowMs }: ClusterSnapshot): Row[] {
  const parameters = parametersAt(state, nowMs);
  const { unbondingMs, slashers, slashThreshold, treasury, challengeMs } = parameters;
  return [
    ['admin', `${state.admin} can change these terms for later stakes, and announce changes for all`],
    ...parameterRows(parameters).filter(([name]) => UNEXPLAINED.has(name) || name.startsWith('tier ')),
    ['unbonding', `the coins come back ${formatDuration(unbondingMs)} after you ask for them`],
    ['slash', `${slashThreshold} of ${slashers.length} slashers can take the stake`],
    ...slashers.map((slasher): Row => ['slasher', nameOf(slasher, state.admin)]),
    ['treasury', `${nameOf(treasury, state.admin)} gets what is slashed`],
    ['challenge', `you have ${formatDuration(challengeMs)} to answer a slash proposal`],
    ...pendingRows({ state, nowMs }),
    ['terms', termsFingerprint(state)],
  ];
}

function nameOf(address: string, admin: string): string {
  return address === admin ? `${address} (the admin)` : address;
}

/** Only what a pending change would change, each with the value in force. */
function pendingRows({ state, nowMs }: Pick<ClusterSnapshot, 'state' | 'nowMs'>): Row[] {
  const { pending } = state;
  if (!pending || BigInt(nowMs) >= pending.effectiveAtMs) return [];
  const next = pending.treasuryAccepted
    ? pending.parameters
    : { ...pending.parameters, treasury: state.parameters.treasury };
  const [before, after] = [byName(state.parameters), byName(next)];
  const changes = [...after].filter(([name, value]) => before.get(name) !== value);
  return [
    [
      'pending',
      `from ${formatTime(Number(pending.effectiveAtMs))} on${changes.length === 0 ? ', the same' : ''}`,
    ],
    ...changes.map(([name, value]): Row => [`  ${name}`, `${value} (now ${before.get(name) ?? 'none'})`]),
  ];
}

function byName(parameters: ParameterState): Map<string, string> {
  const names = new Map<string, string>();
  for (const [name, value] of parameterRows(parameters)) {
    const earlier = names.get(name);
    names.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return names;
}

/** The same for `--json`. */
export function termsJson({ state, nowMs }: ClusterSnapshot) {
  const { pending, termsVersion } = state;
  return {
    terms: { admin: state.admin, ...parametersAt(state, nowMs) },
    termsFingerprint: termsFingerprint(state),
    termsVersion,
    pending: pending && BigInt(nowMs) < pending.effectiveAtMs ? pending : null,
  };
}
