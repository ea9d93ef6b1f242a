import { formatSui } from '#chain';
import type { SealToken, StakeRecord } from '#domain';
import { type Io, table } from './io.ts';

/** What stands on chain after the command, or already before it. */
export interface Standing {
  readonly record: StakeRecord | undefined;
  /** The token that the record names. */
  readonly token: SealToken | undefined;
  readonly epoch: bigint;
}

export function printStanding(
  io: Io,
  { record, token, epoch }: Standing,
  digests: {
    readonly stakeDigest?: string;
    readonly mintDigest?: string | undefined;
    readonly rotateDigest?: string;
  },
): void {
  const rows = [
    ['record', record?.id ?? 'not shown by the endpoint yet'],
    record && record.stakeType !== 'node' ? ['for', record.stakeType] : ['node', record?.nodeId ?? ''],
    ['staker', record?.staker ?? ''],
    ['status', record?.status ?? ''],
    ['stake', record ? formatSui(record.stakeMist) : ''],
    ['Seal token', token?.id ?? record?.token ?? 'none'],
    ...(token
      ? [
          [
            record?.stakeType === 'node' ? 'node key' : 'login key',
            Buffer.from(token.holderKey).toString('hex'),
          ],
          ['permissions', token.permissions.join(' ')],
          ['token life', tokenLife(token, epoch)],
        ]
      : []),
  ];
  io.result(
    { ...digests, record: record ?? null, token: tokenJson(token, epoch), epoch: epoch.toString() },
    table(rows),
  );
}

/** A token counts while the epoch is below the one it names. */
function tokenLife({ expiresAtEpoch }: Pick<SealToken, 'expiresAtEpoch'>, epoch: bigint): string {
  if (epoch >= expiresAtEpoch)
    return `expired when epoch ${expiresAtEpoch} began (now epoch ${epoch}): \`k3s-daas token rotate\` renews it`;
  return `valid until epoch ${expiresAtEpoch} begins (now epoch ${epoch})`;
}

function tokenJson(token: SealToken | undefined, epoch: bigint) {
  if (!token) return null;
  const holderKey = Buffer.from(token.holderKey).toString('hex');
  return { ...token, holderKey, isExpired: epoch >= token.expiresAtEpoch };
}
