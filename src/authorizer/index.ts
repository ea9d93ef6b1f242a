export {
  type AccessRules,
  type AccessTable,
  createAccessTable,
  initialRules,
  type NodeAccess,
} from './access-table.ts';
export { type Authorizer, type AuthorizerProgram, createAuthorizer } from './authorizer.ts';
export { runAuthorizerProcess } from './authorizer-process.ts';
export { type Denial, type DenialCode, judgeAccess } from './judge-access.ts';
export type { CountedDenial } from './messages.ts';
export { createWebhook, type WebhookTls } from './webhook.ts';
export { type KeyAndCertificate, makeWebhookKey } from './webhook-keys.ts';
