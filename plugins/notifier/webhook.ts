import { readFile } from 'node:fs/promises';
import { DaasError, messageOf, type SentNotice } from 'k3s-daas/plugin';
import type { NotifierConfig } from './config.ts';

type Webhook = NonNullable<NotifierConfig['webhook']>;

/** POSTs a notice as JSON; any 2xx will do. Throws `PLUGIN_WEBHOOK_FAILED`. */
export async function postNotice(
  { url, tokenFile }: Webhook,
  notice: SentNotice,
  signal: AbortSignal,
): Promise<void> {
  const token = tokenFile === undefined ? undefined : (await readFile(tokenFile, 'utf8')).trim();
  const response = await fetch(url, {
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
