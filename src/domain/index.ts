export { EXPECTED, isOperatorsName, ORDINARY, RESERVED, UNTAINTED } from './admitted-names.ts';
export { type AuditAnchor, type AuditCargo, type AuditHead, newestAnchor } from './audit-anchor.ts';
export { MOST_BANNED_NAMES } from './banned-names.ts';
export { type BootstrapToken, drawBootstrapToken } from './bootstrap-token.ts';
export {
  type ChainPoint,
  type ChainReader,
  type Cluster,
  type ClusterParameters,
  GATEWAY_TIERS,
  type GatewayEntry,
  type GatewayTier,
  type OpenProposal,
  type RingEntry,
  type SealToken,
  type StakeRecord,
  type StakeStatus,
  type StakeType,
} from './chain-facts.ts';
export type {
  ChainChanges,
  ChainOutage,
  ChangeFollower,
  FollowerReport,
  FollowOptions,
} from './change-follower.ts';
export type {
  AdmittedName,
  ForeignPassword,
  ForeignPasswordChange,
  IssuedJoinCredential,
  KubernetesNode,
  KubernetesPort,
  LiveJoinCredential,
  NodeChange,
  NodePasswordSecret,
} from './kubernetes-port.ts';
export { canaryName, isCanaryName, isNodeId } from './node-id.ts';
export { namespaceOfWallet } from './owner-namespace.ts';
export { isPermission } from './permission.ts';
export { isShortAfterSlash, type StakeEnding, stakeEnding } from './stake-ending.ts';
export { holdOf, paidInMist, type StakeHold } from './stake-hold.ts';
export type { StakedNode, StakedNodeBoard, StakedNodeCondition } from './staked-nodes.ts';
export type { StateEngine, StateEngineKind, StateNews, StateRecord, TextChange } from './state-engine.ts';
export type {
  NewStateObject,
  StateLease,
  StateObject,
  StateObjectNews,
  StateObjects,
} from './state-objects.ts';
export type { StopCause } from './stop-cause.ts';
export { formatSui } from './sui-amount.ts';
export { ownGroup, type Tenant, type TenantKeeper, type TenantNamespace } from './tenants.ts';
export type { ContestReason, Vouch, VouchTable, WorkerIdentity } from './vouches.ts';
