import { DaasError, errorFacts, messageOf, type SentNotice } from 'k3s-daas/plugin';
import { fetchByProxy, readTrustedText } from '#infrastructure';
import type { NotifierConfig } from './config.ts';

const tokenRules = {
  what: 'the token of a webhook',
  origin: 'webhook.tokenFile of the plugin notifier',
  exposedCode: 'PLUGIN_TOKEN_EXPOSED',
} as const;

type Webhook = NonNullable<NotifierConfig['webhook']>;

/**
 * POSTs a notice as JSON, by the proxy of the environment; any 2xx will do. Throws `PLUGIN_WEBHOOK_FAILED`, `DAAS_PROXY_INVALID`, and
 * for a token file that others can read or change `PLUGIN_TOKEN_EXPOSED`, `DAAS_FILE_UNTRUSTED`.
 */
export async function postNotice(
  { url, tokenFile }: Webhook,
  notice: SentNotice,
  signal: AbortSignal,
): Promise<void> {
  const token = tokenFile === undefined ? undefined : (await readTrustedText(tokenFile, tokenRules)).trim();
  const response = await fetchByProxy(url, {
    method: 'POST',
    // A redirect would take the token elsewhere.
    redirect: 'error',
    signal,
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(notice),
  }).catch((cause: unknown) => {
    if (errorFacts(cause).code !== undefined) throw cause;
    throw failed(url, messageOf(cause), cause);
  });
  await response.body?.cancel();
  if (!response.ok) throw failed(url, `HTTP ${response.status}`);
}

/** Only the origin is named: the path of many a webhook is its secret. */
function failed(url: string, why: string, cause?: unknown): DaasError {
  return new DaasError(
    'PLUGIN_WEBHOOK_FAILED',
    `the webhook at ${new URL(url).origin} did not take a notice: ${why}`,
    { cause, isRetryable: true },
  );
}
