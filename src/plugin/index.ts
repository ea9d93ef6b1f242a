export type { Clock, ErrorField, Journal, LogFields, OpenLog as Log } from '#base';
export {
  aborted,
  type Backoff,
  backoffDelayMs,
  ConfigurationError,
  DaasError,
  type DaasErrorOptions,
  drawOf,
  type ErrorCode,
  EXIT,
  type ExitCode,
  errorFields,
  gatewayErrorCode,
  messageOf,
  Secret,
} from '#base';
export type {
  ChainPoint,
  ChainReader,
  Cluster,
  ClusterParameters,
  GatewayEntry,
  GatewayTier,
  RingEntry,
  SealToken,
  StakeRecord,
  StakeStatus,
  StakeType,
} from '#domain';
export { formatSui, holdOf, isNodeId, type StakeEnding, type StopCause, stakeEnding } from '#domain';
export { AgentArguments } from './agent-arguments.ts';
export { type ErrorFacts, errorFacts } from './error-facts.ts';
export type { HostEvents, HostPhase, WorkerRegistered } from './events.ts';
export { challengeGateway, type GatewaySession } from './gateway-session.ts';
export { JoinCredentialSource } from './join-credential-source.ts';
export { type Notice, Notifier, type SentNotice } from './notifier.ts';
export { definePlugin, type Health, type Needs, type Plugin, type Scope, type Services } from './plugin.ts';
export { aCount, aListOf, anObject, aRecordOf, aValue, nothing, optional, type ReplyCheck } from './reply.ts';
export { type SealedStake, SealTokenSource, type StakePreview } from './seal-token-source.ts';
export {
  Agent,
  type AgentStart,
  type AgentState,
  type AgentSupervisor,
  type ChainReceipt,
  type Challenge,
  type Directive,
  type EventsRequest,
  type GatewayConnection,
  GatewayConnector,
  type HeartbeatReply,
  type HeartbeatRequest,
  HostClock,
  HostControl,
  type JoinCredential,
  type KeyRotation,
  type KubeletProof,
  type LeaveRequest,
  type NodeEnding,
  NodeIdentity,
  PluginJournal,
  type ProposedSlash,
  type RegisterRequest,
  type Registration,
  type ResourceUsage,
  type ShowCertificatesRequest,
  type SimulatedCost,
  StakeChain,
  type StakeTerms,
  type VouchedCertificates,
} from './services.ts';
export type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts';
export { type Cardinality, type Point, point, type Token, token } from './token.ts';
