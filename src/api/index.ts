export { type Attestor, notAttested, type ShownEvidence } from './attested-keys.ts';
export { type ConnectorOptions, createGatewayConnector } from './connector.ts';
export { OPENAPI_PATH, openApiDocument } from './openapi.ts';
export { isProblemCode, PROBLEMS, type ProblemCode, type ProblemKind } from './problems.ts';
export { checkPinnedServer, createServerGuard, type PinnedServer, type ServerGuard } from './server-guard.ts';
export { isPinned, spkiPin, TLS_GROUPS, TLS_MINIMUM } from './tls.ts';
export {
  AttestationQuery,
  AttestationReply,
  BODY_LIMIT_BYTES,
  CertificatesBody,
  CertificatesReply,
  type ChainProofReply,
  ChallengeQuery,
  ChallengeReply,
  HeartbeatBody,
  HeartbeatReply,
  LeaveBody,
  LeaveReply,
  PATHS,
  PROBLEM_TYPE,
  Problem,
  RegisterBody,
  RegisterReply,
} from './wire.ts';
export type { WorkerEvidence, WorkerEvidenceRequest } from './worker-evidence.ts';
