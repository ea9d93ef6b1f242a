import type { AccessRules, NodeAccess } from './access-table.ts';
import type { Denial } from './judge-access.ts';
import type { WebhookTls } from './webhook.ts';

/** From the gateway to its authorizer. */
export type ToAuthorizer =
  | {
      readonly kind: 'start';
      readonly tls: WebhookTls;
      readonly host: string;
      readonly port: number;
      readonly rules: AccessRules;
      readonly nodes: readonly NodeAccess[];
    }
  | { readonly kind: 'rules'; readonly rules: AccessRules }
  | { readonly kind: 'nodes'; readonly nodes: readonly NodeAccess[]; readonly forgotten: readonly string[] }
  | { readonly kind: 'ping'; readonly id: number };

/** And back. */
export type FromAuthorizer =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly detail: string }
  | { readonly kind: 'pong'; readonly id: number }
  /** Refusals since the last report, each kind once. */
  | { readonly kind: 'denials'; readonly denials: readonly CountedDenial[]; readonly unreadable: number };

export interface CountedDenial extends Denial {
  readonly count: number;
}
