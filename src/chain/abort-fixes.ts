import type { AbortName } from './generated/index.ts';

/**
 * What to do about each named abort of the contracts. The sentence that says what is wrong comes from the chain; this
 * table adds the fix. The type makes a new abort without a fix a compile error.
 */
export const abortFixes: Readonly<Record<AbortName, string>> = {
  'attestation::EDebugEnclave': 'start the enclave without debug mode, and ask it for a new document',
  'attestation::EDocumentAge': 'ask the enclave for a new document and register it within the hour',
  'attestation::EDocumentNotNewer': 'ask the enclave that runs now for a new document and register that',
  'attestation::EEnclaveKey': 'have the enclave put its Ed25519 public key into the document',
  'attestation::EMeasurementDiffers':
    'register a gateway with the measurement of this image: SHA-256 of PCR0, PCR1 and PCR2',
  'attestation::ENotNitro': 'register the gateway with --attestation-kind nitro',
  'cluster::EAttestation':
    'correct --attestation-kind (a-z, 0-9, hyphen; at most 32) and --measurement (at most 128 bytes)',
  'cluster::ECaHashes': 'give at most two different CA hashes, each 64 hexadecimal digits (a SHA-256)',
  'cluster::EChallengeOutOfBounds': 'set --challenge to at most half of --proposal-life; 0 for none',
  'cluster::EDuplicateSlasher': 'name each --slasher once',
  'cluster::EEndpoint': 'give the gateway an https:// URL without spaces, at most 256 characters',
  'cluster::EGatewayExists':
    'look at `k3s-daas cluster show`: retire the gateway that is there, or give the new one an endpoint and a key of its own',
  'cluster::EInvalidNodeId':
    'choose a node id of 1 to 63 characters out of a-z, 0-9 and hyphen, beginning and ending with a letter or digit',
  'cluster::EMinimumBelowWorkerTier':
    'raise --minimum-stake to the stake of the tier that grants nodes:write, or lower that tier',
  'cluster::EMinimumStakeOutOfBounds': 'lower --minimum-stake to at most 1000000000 SUI',
  'cluster::EMinimumTopUpOutOfBounds': 'set --minimum-top-up between 1 MIST and 1000000000 SUI',
  'cluster::ENoSuchGateway':
    'look up the id with `k3s-daas cluster show`; a retired gateway is gone for good',
  'cluster::ENoSuchStatus': 'use live, draining or retired',
  'cluster::ENoSuchTier': 'use basic, standard or premium',
  'cluster::ENoTreasuryToAccept':
    'have the admin schedule parameters that name the new treasury, and accept before they take effect',
  'cluster::ENoWorkerTier': 'add nodes:write to the permissions of one tier',
  'cluster::ENodeIdNotReserved': 'nothing to do: anybody can stake for that node id',
  'cluster::ENodeIdReserved':
    'choose another node id, or stake with the wallet that it is reserved for; the admin of the cluster can end the reservation',
  'cluster::ENodeIdTaken':
    'choose another node id, or wait until its staker gives the name up (the admin may force squatters out)',
  'cluster::ENotASlasher': 'look up the slashers with `k3s-daas cluster show`',
  'cluster::ENotAdmin': 'sign with the admin key; `k3s-daas cluster show` prints its address',
  'cluster::ENotNewTreasury': 'sign with the key of the new treasury address',
  'cluster::ENotOfferedAdmin': 'sign with the key to which the admin role was offered',
  'cluster::EOfferExpired': 'have the admin offer the role again; an offer counts for seven days',
  'cluster::EProposalLifeOutOfBounds':
    'set --proposal-life between 1 second and a quarter of --unbonding, for example 15 minutes for 1 hour',
  'cluster::EServers':
    'give at most four different https:// URLs without spaces, each at most 256 characters',
  'cluster::ESigningKey': 'give a --signing-key of 32 bytes (64 hexadecimal digits)',
  'cluster::ESlasherCount': 'name between 1 and 16 slashers with --slasher',
  'cluster::EThresholdNotRaised':
    'give a threshold above the one in force and no higher than the number of slashers; lowering goes through scheduled parameters',
  'cluster::EThresholdOutOfBounds': 'set --threshold between 1 and the number of slashers',
  'cluster::ETierCount': 'give exactly three tiers',
  'cluster::ETierOrder': 'give tier stakes that rise strictly, from 1 MIST to at most 1000000000 SUI',
  'cluster::ETierPermissions':
    'give each tier 1 to 16 permissions of the form resource:verb, each in one tier only',
  'cluster::ETlsPins': 'give at most two different --tls-pin, each 64 hexadecimal digits (a SHA-256)',
  'cluster::ETokenLifeOutOfBounds': 'set --token-epochs between 1 and 1000',
  'cluster::ETooManyGateways': 'retire a gateway first: `k3s-daas cluster gateway status <id> retired`',
  'cluster::EUnbondingOutOfBounds': 'set --unbonding between 1 minute and 365 days',
  'cluster::EWrongVersion':
    'use the release of k3s-daas and the package id that belong to the version of the cluster',
  'cluster::EZeroTreasury': 'pass a --treasury address with a known key',
  'k8s_gateway::EHolderKeyLength': 'give an Ed25519 public key of 32 bytes as holder key',
  'k8s_gateway::ENoPermissionLeft':
    'call k8s_gateway::revoke_seal_token, then make a new token with permissions of the tier (docs/contracts.md)',
  'k8s_gateway::ENodeStake': 'make a worker token from a stake of type node',
  'k8s_gateway::ENotNodeStake': 'stake for a node first (`k3s-daas stake`)',
  'k8s_gateway::EPermissionAboveTier': 'ask for less, or stake enough for the higher tier',
  'k8s_gateway::EPermissionCount': 'ask for between 1 and 16 permissions',
  'k8s_gateway::EPermissionForm': 'write permissions as resource:verb, each once',
  'k8s_gateway::ETokenExists': 'use the token the record has, or replace it: `k3s-daas token rotate`',
  'k8s_gateway::ETokenNotLive': 'use the token that the stake record names',
  'k8s_gateway::EWrongToken': 'give the token that was made from this stake record',
  'slashing::EAlreadyVoted': 'nothing to do: the vote counts already; other slashers must vote',
  'slashing::EAmountAboveStake': 'propose at most what the stake has (see its balance)',
  'slashing::EAmountZero': 'propose an amount above zero',
  'slashing::EChallengeTime': 'wait until the challenge time of the proposal is over',
  'slashing::EHashLength': 'give a hash of 32 bytes (64 hexadecimal digits)',
  'slashing::ENotProposer': 'sign with the key that opened the proposal',
  'slashing::ENotSlasher':
    'sign with the key of a slasher of this cluster; `k3s-daas cluster show` lists them',
  'slashing::ENotSlasherAtOpening': 'open a proposal of your own: `k3s-daas slash propose`',
  'slashing::ENotVoted': 'nothing to do: this address has given no vote for the proposal',
  'slashing::EOtherVotes': 'take back your own vote instead: `k3s-daas slash retract`',
  'slashing::EProposalAlreadyOpen': 'let the open proposal be voted on, or wait until it has expired',
  'slashing::EProposalClosed': 'nothing to do: open a new proposal if it is still needed',
  'slashing::EProposalExpired': 'open a new proposal: `k3s-daas slash propose`',
  'slashing::EProposalNotExpired': 'wait until the proposal has expired, or vote for it',
  'slashing::EReasonLength': 'give a --reason of 1 to 256 bytes',
  'slashing::EStakeGone': 'nothing to do: the stake holds no coins that a slash could reach',
  'slashing::ETooFewVotes': 'wait until enough slashers have voted',
  'slashing::EUnlocked':
    'nothing to do: a slash must be proposed before the unbonding time of the stake is over',
  'slashing::EWrongRecord': 'give the stake record that the proposal names',
  'staking::ENotActive': 'make a new stake: a record that was ended never becomes active again',
  'staking::ENotStaker': 'sign with the wallet that made the stake',
  'staking::ENotUnbonding':
    'ask for the coins first with `k3s-daas unstake`, and wait for the unbonding time',
  'staking::ENothingLeft': 'nothing to do: all coins of this stake were paid out or slashed',
  'staking::EProposalOpen': 'wait until the open slash proposal is decided or has expired',
  'staking::EStakeAboveMaximum': 'stake at most 1000000000 SUI in one record',
  'staking::EStakeBelowMinimum':
    'stake at least the minimum of the cluster; `k3s-daas cluster show` prints it',
  'staking::EStillLocked': 'wait until the time the record unlocks',
  'staking::ETermsChanged':
    'look at the terms of the cluster again (`k3s-daas cluster show`), and stake under the new ones if you agree',
  'staking::ETopUpBelowMinimum':
    'top up by at least the minimum of the cluster; `k3s-daas cluster show` prints it',
  'staking::EWrongCluster': 'give a record of this cluster: check the cluster id of the deployment file',
};
