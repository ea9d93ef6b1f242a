import { drawOf, type SealToken } from 'k3s-daas/plugin';

/** Every token is rotated before less than this share of its life is left. */
const leastShare = 0.2;
/** The nodes of a fleet rotate over this share of a life, and not all in one epoch. */
const spreadShare = 0.1;

interface Situation {
  readonly token: Pick<SealToken, 'issuedEpoch' | 'expiresAtEpoch' | 'nodeId'>;
  readonly epoch: bigint;
  /** The life of a token that is made now. */
  readonly longestLifeEpochs: bigint;
}

/** Epochs until the token no longer counts; 0 when it has expired. */
export function epochsLeft({ token, epoch }: Pick<Situation, 'token' | 'epoch'>): bigint {
  return token.expiresAtEpoch > epoch ? token.expiresAtEpoch - epoch : 0n;
}

/**
 * Whether the token is to be rotated now: at a share of its life between 20 % and 30 %, which depends on the node id. A
 * rotation that would gain no epoch waits.
 */
export function isRotationDue({ token, epoch, longestLifeEpochs }: Situation): boolean {
  if (epoch + longestLifeEpochs <= token.expiresAtEpoch) return false;
  const lifeEpochs = Number(token.expiresAtEpoch - token.issuedEpoch);
  const share = leastShare + spreadShare * drawOf(token.nodeId);
  return Number(epochsLeft({ token, epoch })) <= Math.ceil(lifeEpochs * share);
}
