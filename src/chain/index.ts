export { abortFixes } from './abort-fixes.ts';
export { formatSui, parseSui } from './amounts.ts';
export type { AnchorMode } from './anchoring.ts';
export { anchorStatement } from './audit-anchor.ts';
export {
  type Balance,
  type ChainClient,
  type ChainClientOptions,
  type ClusterSnapshot,
  createChainClient,
} from './chain-client.ts';
export { type ClusterAct, isClusterAct } from './cluster-act.ts';
export { sendClusterAct, simulateClusterAct } from './cluster-act-calls.ts';
export type { ClusterChange, ClusterServers } from './cluster-operations.ts';
export { type ClusterSettings, defaultSettings } from './cluster-settings.ts';
export { ContractBuild, packageRoot, readContractBuild } from './contract-build.ts';
export {
  type ClusterState,
  decodeObject,
  earlierUnlockMs,
  GATEWAY_STATUSES,
  type GatewayStatus,
  type ParameterState,
  parametersAt,
  permissionsOf,
  type SlashProposal,
  termsFingerprint,
} from './contract-objects.ts';
export {
  Deployment,
  Publication,
  parseDeployment,
  readDeployment,
  readPublication,
  writeDeployment,
} from './deployment.ts';
export {
  ChainError,
  type EndpointSettings,
  type EndpointStatus,
  type Endpoints,
  openEndpoints,
} from './endpoints/index.ts';
export {
  changesSince,
  createChangeFollower,
} from './follower.ts';
export { type FoundingAct, isFoundingAct } from './founding-act.ts';
export {
  type Founded,
  hasLanded,
  type SignedFounding,
  sendFounding,
  simulateFounding,
} from './founding-act-calls.ts';
export type { GasCost } from './gas.ts';
export * as contracts from './generated/index.ts';
export { readKeptProof } from './kept-proofs.ts';
export type { Freshness } from './lookout.ts';
export { openNetwork } from './network.ts';
export type { UnprovenListener } from './object-proofs.ts';
export type { ProofOptions } from './open-proofs.ts';
export type { Actor, ClusterActor, Draft, Plan, Where } from './operation.ts';
export { operations } from './operations.ts';
export type { PersonStakeType } from './person-requests.ts';
export type { PersonStakes } from './person-stake.ts';
export { createProbing, type ProbeSchedule, type ProbeStatus, type Probing } from './probing.ts';
export { openProofStore } from './proof-store-file.ts';
export { assertProposalLife, assertTermsNamed, assertTiers, isPublicNetwork } from './public-network.ts';
export { verifyPublished } from './publish-operation.ts';
export { type AnchorsShown, readAnchors } from './read-anchors.ts';
export type { SlashExecuted, SlashOutcome } from './slash-operations.ts';
export { type SlashReadiness, slashReadiness } from './slash-readiness.ts';
export type { MoneyAct, StakeAct } from './stake-acts.ts';
export { createStakeChain, type StakeChainOptions, type WalletStakeChain } from './stake-chain.ts';
export { minimumOf } from './stake-judge.ts';
export type { Unsigned } from './stake-life.ts';
export { type ListedStake, type StakeList, stakeRecordOf, stakesOf } from './stake-list.ts';
export { mintRequest, previewStake, stakeRequest } from './stake-requests.ts';
export { DEFAULT_GAS_BUDGETS, type GasBudgets } from './staker.ts';
export { type PlainAct, plainAct, type SignedAct } from './unsigned-act.ts';
export {
  base64Of,
  readUnsignedTransaction,
  type UnsignedTransaction,
  unsignedTransactionText,
  withSignatures,
} from './unsigned-transaction.ts';
export {
  addressOfKey,
  openWallet,
  readWallet,
  type Wallet,
  type WalletOptions,
  walletWithoutKey,
} from './wallet.ts';
