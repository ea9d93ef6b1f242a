import {
  type ClusterParameters,
  ConfigurationError,
  DaasError,
  EXIT,
  formatSui,
  type SealToken,
  type StakeRecord,
} from 'k3s-daas/plugin';

/** Throws when the node's live record is not one this wallet and this cluster's rules can go on with. */
export function judgeLiveRecord(
  record: StakeRecord,
  facts: { nodeId: string; wallet: string; parameters: ClusterParameters; minimumMist: bigint | undefined },
): void {
  const { nodeId, wallet, parameters } = facts;
  if (record.staker !== wallet)
    throw new ConfigurationError(
      'DAAS_NODE_ID_TAKEN',
      `the node id '${nodeId}' is staked by another wallet (${record.staker}, record ${record.id}): choose another nodeId, or use that wallet`,
      { details: { nodeId, recordId: record.id, staker: record.staker } },
    );
  const clusterMist = parameters.minimumWorkerStakeMist;
  const leastMist =
    facts.minimumMist !== undefined && facts.minimumMist > clusterMist ? facts.minimumMist : clusterMist;
  if (record.stakeMist < leastMist)
    throw new ConfigurationError(
      'DAAS_STAKE_TOO_LOW',
      `the stake of node '${nodeId}' is ${formatSui(record.stakeMist)}, ${formatSui(leastMist)} are needed: the owner of the record ${record.id} has to top it up (\`k3s-daas stake top-up\`)`,
      { details: { recordId: record.id, stakeMist: record.stakeMist, leastMist } },
    );
}

/** Throws `DAAS_STAKE_TOO_LOW` for an amount that the cluster would not take, before anything is staked. */
export function judgeAmount(
  stakeMist: bigint,
  { nodeId, parameters }: { readonly nodeId: string; readonly parameters: ClusterParameters },
): void {
  // The contracts keep the minimum at or above the tier that grants nodes:write.
  const leastMist = parameters.minimumWorkerStakeMist;
  if (stakeMist >= leastMist) return;
  throw new ConfigurationError(
    'DAAS_STAKE_TOO_LOW',
    `a stake of ${formatSui(stakeMist)} for node '${nodeId}' is below the minimum of the cluster, ${formatSui(leastMist)}: stake at least that`,
    { details: { nodeId, stakeMist, leastMist } },
  );
}

/** The record's token names a key that this machine does not have. */
export function foreignKeyError(token: SealToken): ConfigurationError {
  return new ConfigurationError(
    'DAAS_HOLDER_KEY_MISMATCH',
    `the Seal token ${token.id} of node '${token.nodeId}' is bound to another node key than those on this machine: ` +
      'use the state directory that has the key, or rotate the token to this key (`k3s-daas token rotate --holder-key-file`) with the wallet that owns the stake',
    { details: { tokenId: token.id } },
  );
}

/** Why a node with an expired token does not start when the host may not rotate it. */
export function expiredError(token: SealToken, epoch: bigint): ConfigurationError {
  return new ConfigurationError(
    'DAAS_SEAL_TOKEN_EXPIRED',
    `the Seal token ${token.id} expired when epoch ${token.expiresAtEpoch} began (now ${epoch}): rotate it (\`k3s-daas token rotate\`) with the wallet that owns the stake, or set rotation.mode of the plugin staking to automatic`,
    { details: { tokenId: token.id, expiresAtEpoch: token.expiresAtEpoch } },
  );
}

/** Why no other stake is made, given an earlier record of this node and wallet that is over. */
export function endedError(record: StakeRecord): DaasError {
  const isSlashed = record.status === 'slashed';
  return new DaasError(
    isSlashed ? 'DAAS_STAKE_SLASHED' : 'DAAS_STAKE_ENDED',
    `the stake of this node (record ${record.id}) is ${record.status}: ` +
      'another one is made only when asked for, by `k3s-daas agent --stake-again` or `k3s-daas stake`',
    { exitCode: EXIT.lockedOut, details: { recordId: record.id, status: record.status } },
  );
}

/** The record that matters most among those that are over: a slashed one before any other. */
export function worstEnded(
  records: readonly StakeRecord[],
  { nodeId, wallet }: { nodeId: string; wallet: string },
): StakeRecord | undefined {
  const ours = records.filter(
    (record) =>
      record.staker === wallet &&
      record.nodeId === nodeId &&
      record.stakeType === 'node' &&
      record.status !== 'active',
  );
  return ours.find((record) => record.status === 'slashed') ?? ours[0];
}

/** What was written a moment ago may not be visible at once everywhere: not a fact yet, ask again. */
export function notVisibleYet(what: string, id: string): DaasError {
  return new DaasError('DAAS_CHAIN_BEHIND', `the ${what} ${id} cannot be seen on chain yet`, {
    isRetryable: true,
    exitCode: EXIT.joinDeadline,
    details: { id },
  });
}
