import { randomBytes } from 'node:crypto';
import type { Identity } from './identity.ts';
import { decodedData, isRecord, resourceNamed } from './objects.ts';
import { named, type Store } from './store.ts';

const accountTokenType = 'kubernetes.io/service-account-token';

/** The token controller: a Secret of this type gets a token for the account that its annotation names. */
export function tokensOfServiceAccounts(store: Store): void {
  for (const secret of store.list(named.secret)) {
    if (secret.type !== accountTokenType || isRecord(secret.data)) continue;
    const account = secret.metadata.annotations?.['kubernetes.io/service-account.name'] ?? '';
    const { namespace = '' } = secret.metadata;
    if (!store.get(resourceNamed('serviceaccounts'), namespace, account)) continue;
    const data = { token: `standin.${randomBytes(24).toString('base64url')}`, namespace };
    store.replace(named.secret, {
      ...secret,
      data: Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
      ),
    });
  }
}

/** The account that this token belongs to, or undefined. */
export function serviceAccountOf(store: Store, token: string | undefined): Identity | undefined {
  if (!token?.startsWith('standin.')) return undefined;
  const secret = store
    .list(named.secret)
    .find((one) => one.type === accountTokenType && decodedData(one).token === token);
  if (!secret) return undefined;
  const { namespace = '', annotations } = secret.metadata;
  const account = annotations?.['kubernetes.io/service-account.name'] ?? '';
  return {
    username: `system:serviceaccount:${namespace}:${account}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  };
}
