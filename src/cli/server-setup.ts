import { ConfigurationError } from '#base';
import type { SetupResult } from '#cluster';
import type { GatewaySection } from './gateway-config.ts';
import type { SetupFlags } from './gateway-setup.ts';
import { type Io, notConfirmed, table } from './io.ts';
import {
  ensureWebhookKeys,
  placeOf,
  presentServerFiles,
  refuseElsewhere,
  removeServerFiles,
  type ServerFile,
  type ServerPlace,
  type ServerSetup,
  serverFiles,
  writeServerFiles,
} from './server-files.ts';

/** @throws `DAAS_SERVER_FILES_REFUSED` where the files would be of no use, or this is no server. */
export async function refuseServerFiles(config: GatewaySection, place: ServerPlace): Promise<void> {
  if (config.authorizer.mode === 'off')
    throw new ConfigurationError(
      'DAAS_SERVER_FILES_REFUSED',
      'gateway.authorizer.mode is off, so the API server would ask an authorizer that does not run: set it to observe first',
    );
  await refuseElsewhere(place);
}

/** @throws `DAAS_KUBERNETES_TOO_OLD` */
export function supportedBy({
  authorizerSupport,
  kubernetesVersion,
}: Pick<SetupResult, 'authorizerSupport' | 'kubernetesVersion'>): 'cached' | 'full' {
  if (authorizerSupport !== 'none') return authorizerSupport;
  throw new ConfigurationError(
    'DAAS_KUBERNETES_TOO_OLD',
    `this cluster runs Kubernetes ${kubernetesVersion}, whose API server shows an authorizer no certificates: --server-files needs 1.32 or newer`,
  );
}

/** The files as they would be written, without the one that holds a private key. */
export function printServerFiles(io: Io, files: readonly ServerFile[]): void {
  const shown = files.map(({ path, text, isSecret }) => ({
    path,
    text: isSecret ? '[holds a private key: not shown]\n' : (text ?? '[depends on keys that setup makes]\n'),
  }));
  io.result({ files: shown }, shown.map(({ path, text }) => `# ${path}\n${text}`).join('\n'));
}

export async function putServerFiles(
  io: Io,
  {
    support,
    ...setup
  }: Omit<ServerSetup, 'support'> & { readonly support: SetupResult['authorizerSupport'] },
): Promise<void> {
  if (support === 'none') return;
  await ensureWebhookKeys(setup.config);
  const written = await writeServerFiles(await serverFiles({ ...setup, support }));
  for (const path of written) io.step('wrote a file of the server', path);
  if (written.length === 0) return;
  io.note(
    [
      'Then, on this machine, with the gateway running:',
      '  systemctl daemon-reload && systemctl enable --now k3s-daas-authorizer',
      '  systemctl restart k3s       # once: later changes are noticed by itself',
      '  k3s-daas gateway setup --check',
    ].join('\n'),
  );
}

/** `setup --remove --server-files`: of the cluster nothing is removed. */
export async function removeFromServer(io: Io, flags: SetupFlags): Promise<void> {
  const place = placeOf(flags);
  await refuseElsewhere(place);
  const present = await presentServerFiles(place);
  const plan =
    present.length === 0
      ? 'There are no files of setup on this server.'
      : table([['ACTION', 'WHAT'], ...present.map((path) => ['remove', path])]);
  if (flags.dryRun || present.length === 0) {
    io.result({ dryRun: flags.dryRun === true, removed: present }, plan);
    return;
  }
  io.note(plan);
  if (!flags.yes && !(await io.confirm('Remove these files?')))
    throw notConfirmed('nothing was removed: the answer was no');
  const removed = await removeServerFiles(place);
  for (const path of removed) io.step('removed', path);
  io.result(
    { dryRun: false, removed },
    'The API server asks the authorizer until k3s is restarted. Run:\n  systemctl disable --now k3s-daas-authorizer\n  systemctl restart k3s',
  );
}
