export { abortFixes } from './abort-fixes.ts';
export { formatSui, parseSui } from './amounts.ts';
export {
  type Balance,
  type ChainClient,
  type ChainClientOptions,
  type ClusterSnapshot,
  createChainClient,
} from './chain-client.ts';
export { ContractBuild, packageRoot, readContractBuild } from './contract-build.ts';
export {
  Deployment,
  Publication,
  parseDeployment,
  readDeployment,
  readPublication,
  writeDeployment,
} from './deployment.ts';
export { type Endpoint, type Endpoints, openEndpoints } from './endpoint.ts';
export { ChainError } from './errors.ts';
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
} from './facts.ts';
export {
  changesSince,
  createChangeFollower,
} from './follower.ts';
export type { GasCost } from './gas.ts';
export * as contracts from './generated/index.ts';
export {
  type Actor,
  addGateway,
  assertTiers,
  type ClusterActor,
  type ClusterChange,
  type ClusterCreated,
  type ClusterSettings,
  createCluster,
  defaultSettings,
  expireSlash,
  isPublicNetwork,
  type NewGateway,
  openNetwork,
  type Plan,
  type Published,
  planAddGateway,
  planClusterChange,
  planCreateCluster,
  planExpireSlash,
  planMint,
  planProposeSlash,
  planPublish,
  planScheduleParameters,
  planSetGatewayStatus,
  planStake,
  planVoteSlash,
  proposeSlash,
  publishPackage,
  type SlashExecuted,
  type SlashOutcome,
  setGatewayStatus,
  verifyPublished,
  voteSlash,
} from './operations.ts';
export {
  createStakeChain,
  DEFAULT_GAS_BUDGETS,
  type GasBudgets,
  mintRequest,
  type StakeChainOptions,
  stakeRequest,
} from './stake-chain.ts';

export { openWallet, readWallet, type Wallet, type WalletOptions } from './wallet.ts';
