export { EXPECTED, isOperatorsName, ORDINARY, RESERVED, UNTAINTED } from './admitted-names.ts';
export { type Backoff, backoffDelayMs } from './backoff.ts';
export { readBody } from './bounded-body.ts';
export {
  type ChainPoint,
  type ChainReader,
  type Cluster,
  type ClusterParameters,
  GATEWAY_TIERS,
  type GatewayEntry,
  type GatewayTier,
  type RingEntry,
  type SealToken,
  type StakeRecord,
  type StakeStatus,
  type StakeType,
} from './chain-facts.ts';
export { type Clock, systemClock } from './clock.ts';
export type {
  ClusterNode,
  ClusterPort,
  IssuedJoinCredential,
  LiveJoinCredential,
  NodeChange,
  NodePasswordSecret,
} from './cluster-port.ts';
export { coloursFor } from './colours.ts';
export {
  type Connection,
  type ConnectionFigures,
  type Connections,
  closeListener,
  guardConnections,
} from './connections.ts';
export { displayJson, displayLines, displayText } from './display.ts';
export {
  ConfigurationError,
  DaasError,
  type DaasErrorOptions,
  EXIT,
  type ExitCode,
  messageOf,
} from './errors.ts';
export { hostPort, urlHost } from './host-port.ts';
export { httpsOriginProblem, maskUserInfo } from './https-origin.ts';
export { isHalfWritten, type Journal, openJournal, replaceFile } from './journal.ts';
export { Lifetime } from './lifetime.ts';
export { acquireLock, type Lock } from './lock.ts';
export { type Log, type LogFields, silentLog } from './log.ts';
export { machineId } from './machine-id.ts';
export { describeNetworkFailure, innermostCause } from './network-failure.ts';
export { isNodeId } from './node-id.ts';
export { printable } from './printable.ts';
export {
  isAlive,
  type ProcessIdentity,
  type ProcessStat,
  parseProcessIdentity,
  parseStat,
  processIdentity,
} from './process-identity.ts';
export { type HttpProxy, isInsecure, isLoopbackHost, proxyFor, proxyText } from './proxy.ts';
export { Secret } from './secret.ts';
export {
  makeTrustedDirectory,
  openTrusted,
  openTrustedSync,
  readTrusted,
  readTrustedText,
  readTrustedTextSync,
  type TrustRules,
  trustedFile,
  trustedPath,
} from './trusted-file.ts';
export { isDiskFull, writeFailure } from './write-failure.ts';
