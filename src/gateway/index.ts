export type { AuditAnchors } from './anchor-check.ts';
export { openAudit } from './audit.ts';
export { AuditExport, EXPORT_FORMAT, type ExportVerdict, exportNode, verifyExport } from './audit-export.ts';
export { auditLines, auditPlace, type ParsedLine, parseAuditLine } from './audit-reading.ts';
export { createAuditSigner, macKeyOf, publicHexOf } from './audit-signer.ts';
export { type AuditReport, type AuditTrust, verifyAudit } from './audit-verify.ts';
export {
  AUTHORIZER_FILES,
  authorizerDirectory,
  fingerprintOfPem,
  parseBannedFile,
  webhookTls,
} from './authorizer-files.ts';
export type { RunnableGatewayConfig } from './config.ts';
export { type Decision, decide, type EvictionReason, type Situation, type StakeFact } from './decision.ts';
export { type FenceOrders, fenceFile, MOST_FENCED_PEERS, parseFenceFile } from './fence-file.ts';
export { type RunningGateway, startGateway } from './gateway.ts';
export type { GatewayOptions } from './gateway-parts.ts';
export type { StateSite } from './gateway-state.ts';
export { issueOperatorCertificate, makeOperatorCa } from './operator-ca.ts';
export {
  OPERATOR_FILES,
  OPERATOR_NAME,
  OperatorList,
  operatorCaUnusable,
  readOperatorCa,
  readOperatorList,
} from './operator-list.ts';
export { OPERATOR_ROLES, type OperatorRole } from './operator-roles.ts';
export {
  BanEntry,
  BansReply,
  BreakerReply,
  type ClaimEntry,
  CommandReply,
  NodeEntry,
  NodesReply,
  OPERATOR_PATHS,
} from './operator-wire.ts';
export { rehearsed, rehearseStart } from './rehearsal.ts';
export { differences } from './reload.ts';
export {
  backUpState,
  emptyState,
  openBackup,
  type StateFigures,
  verifyState,
} from './state-maintenance.ts';
export { WhyReply } from './why-wire.ts';
export type { MachineJudge, MachineVerdict, ShownMachine } from './worker-attestation.ts';
