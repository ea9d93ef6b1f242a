import { constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError, messageOf } from '#base';
import { TOKEN_REVIEW_FILE, tokenReviewFlags, tokenReviewKubeconfig } from '#cluster';
import { AUTHORIZER_FILES, authorizerDirectory } from '#gateway';
import { readBounded, replaceFile } from '#infrastructure';
import { gatewaySection } from './gateway-config.ts';
import type { Io } from './io.ts';
import { loadGatewaySettings } from './settings.ts';

export interface TokenReviewFlags {
  readonly config?: string;
  /** Where the API server's file goes. */
  readonly dir: string;
}

/** What the gateway's user wrote is read by root: nothing large, nothing that is a link. */
const largestFileBytes = 1024 * 1024;

/** `k3s-daas gateway token-review`, as root, once on each k3s server: writes the kubeconfig by which its API server asks the gateway. */
export async function writeTokenReviewFile(io: Io, { config: file, dir }: TokenReviewFlags): Promise<void> {
  const config = gatewaySection(await loadGatewaySettings({ file }));
  const { enabled, port, cacheTtlMs } = config.tokenReview;
  if (!enabled)
    throw new ConfigurationError(
      'DAAS_TOKEN_REVIEW_OFF',
      'gateway.tokenReview.enabled is false, so this gateway answers no TokenReview: set it to true and restart the gateway first. An API server that asks in vain refuses all logins',
    );
  const path = join(dir, TOKEN_REVIEW_FILE);
  const directory = authorizerDirectory(config);
  const read = (name: keyof typeof AUTHORIZER_FILES) => readSmall(join(directory, AUTHORIZER_FILES[name]));
  const [cert, clientCert, clientKey] = await Promise.all([
    read('serverCert'),
    read('clientCert'),
    read('clientKey'),
  ]);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await replaceFile(path, tokenReviewKubeconfig({ port, cert, clientCert, clientKey }), 0o600);
  io.step('written', path);
  const flags = tokenReviewFlags(path, cacheTtlMs);
  io.result(
    { file: path, apiServerFlags: flags },
    [
      'Add to /etc/rancher/k3s/config.yaml.d/k3s-daas.yaml, and restart k3s:',
      'kube-apiserver-arg+:',
      ...flags.map((flag) => `  - ${flag}`),
    ].join('\n'),
  );
}

async function readSmall(path: string): Promise<string> {
  try {
    return (await readBounded(path, largestFileBytes, constants.O_NOFOLLOW)).toString('utf8');
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_TOKEN_REVIEW_FILE',
      `${path} cannot be read (${messageOf(cause)}): start the gateway once with gateway.tokenReview.enabled, and run this as root on the k3s server`,
      { cause },
    );
  }
}
