export { askProgram, type ProgramCall } from './ask-program.ts';
export { boundedBody, readBody } from './bounded-body.ts';
export { openRegular, readBounded } from './bounded-file.ts';
export { caHash, readCaBundle } from './ca-hash.ts';
export { coloursFor } from './colours.ts';
export {
  type Connection,
  type ConnectionFigures,
  type Connections,
  closeListener,
  guardConnections,
} from './connections.ts';
export { type EvidenceSettings, evidenceSettings } from './evidence-settings.ts';
export { fileIdentity } from './file-identity.ts';
export { isHalfWritten, openJournal, readJournal, replaceFile } from './journal-file.ts';
export { readKernelFile, readKernelFileNow } from './kernel-file.ts';
export { acquireLock, type Lock } from './lock.ts';
export { createLogger, type LoggerOptions, type LogLevel, redact } from './logger.ts';
export { machineId } from './machine-id.ts';
export {
  bootId,
  isAlive,
  type ProcessIdentity,
  type ProcessStat,
  parseProcessIdentity,
  parseStat,
  processIdentity,
} from './process-identity.ts';
export { fetchByProxy, fetchThrough } from './proxied-fetch.ts';
export { type HttpProxy, isInsecure, isLoopbackHost, parseProxy, proxyFor, proxyText } from './proxy.ts';
export {
  type DefaultValue,
  type FlagValue,
  loadSettings,
  type ResolvedSetting,
  type SettingAlias,
  type Settings,
  type SettingsOptions,
} from './settings.ts';
export { findDocument } from './settings-file.ts';
export { describeSettings, type SettingKind, type SettingRow } from './settings-schema.ts';
export { syncDirectory } from './sync-directory.ts';
export { followTracing } from './tracing.ts';
export { openTrustedDatabase } from './trusted-database.ts';
export {
  makeTrustedDirectory,
  openTrusted,
  openTrustedSync,
  readTrusted,
  readTrustedSync,
  readTrustedText,
  readTrustedTextSync,
  type TrustRules,
  trustedFile,
  trustedPath,
} from './trusted-file.ts';
export { isDiskFull, writeFailure } from './write-failure.ts';
