import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, messageOf, systemClock } from '#base';
import { AUTHORIZATION_FILE } from '#cluster';
import { fingerprintOfPem } from '#gateway';
import { replaceFile } from '#infrastructure';
import {
  type AuthorizationSite,
  authorizationFilesOf,
  isWebhookKubeconfig,
  readSmall,
} from './authorizer-files.ts';
import { gatewaySection } from './gateway-config.ts';
import type { Io } from './io.ts';
import { loadGatewaySettings } from './settings.ts';

export interface AuthorizerFlags {
  readonly config?: string;
  /** Where the API server's files go. */
  readonly dir: string;
  /** The agent directory of the k3s server. */
  readonly certificates: string;
  readonly once?: boolean;
  readonly print?: boolean;
  /** Kubernetes below 1.34. */
  readonly oldServer?: boolean;
}

const lookEveryMs = 1_000;
/** A kubeconfig with an older name: the API server has long read the newer one. */
const staleAfterMs = 10 * 60_000;

/**
 * `k3s-daas gateway authorizer`, as root on each k3s server: keeps the API server's authorization files as the gateway's
 * keys and bans ask, and tells the gateway which certificates the server itself uses.
 */
export async function serveAuthorizerFiles(io: Io, flags: AuthorizerFlags): Promise<void> {
  const config = gatewaySection(await loadGatewaySettings({ file: flags.config }));
  const site: Site = {
    config,
    directory: flags.dir,
    certificates: flags.certificates,
    isOldServer: flags.oldServer === true,
    written: new Map(),
  };
  if (flags.print) return printFiles(io, site);
  await look(io, site);
  if (flags.once) {
    io.result({ directory: flags.dir, files: [...site.written.keys()] }, nextStep(flags.dir));
    return;
  }
  io.note(nextStep(flags.dir));
  await keepLooking(io, site, systemClock);
}

interface Site extends AuthorizationSite {
  /** The agent directory of the k3s server. */
  readonly certificates: string;
  readonly written: Map<string, string>;
}

const nextStep = (directory: string) =>
  `In /etc/rancher/k3s/config.yaml.d/k3s-daas.yaml:\nkube-apiserver-arg+:\n  - authorization-config=${join(directory, AUTHORIZATION_FILE)}\nThe API server notices later changes of the file by itself.`;

async function keepLooking(io: Io, site: Site, clock: Clock): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  let failure = '';
  while (!stop.signal.aborted) {
    await clock.sleep(lookEveryMs, stop.signal).catch(() => undefined);
    try {
      if (!stop.signal.aborted) await look(io, site);
      failure = '';
    } catch (error) {
      // Said once: what is missing may come, such as the files of a gateway that starts.
      if (messageOf(error) !== failure) io.warn(messageOf(error));
      failure = messageOf(error);
    }
  }
}

async function look(io: Io, site: Site): Promise<void> {
  // First: the gateway does not enforce without them, whatever is wrong with its files.
  await writeFingerprints(io, site);
  await mkdir(site.directory, { recursive: true, mode: 0o700 });
  for (const { path, text } of await authorizationFilesOf(site))
    await writeIfChanged(io, site, { path, text, mode: 0o600 });
  await removeStale(site.directory);
}

async function printFiles(io: Io, site: Site): Promise<void> {
  const files = await authorizationFilesOf(site);
  const configuration = files.at(-1)?.text ?? '';
  io.result(
    { directory: site.directory, authorization: configuration },
    `${configuration}\n${nextStep(site.directory)}`,
  );
}

async function writeFingerprints(io: Io, site: Site): Promise<void> {
  const { certificates, config } = site;
  const names = (await readdir(certificates)).filter((name) => /^client-.*\.crt$/.test(name)).sort();
  const pems = await Promise.all(names.map((name) => readSmall(join(certificates, name))));
  const path = config.authorizer.serverCertificates;
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  const text = `${JSON.stringify(pems.map(fingerprintOfPem))}\n`;
  await writeIfChanged(io, site, { path, text, mode: 0o644 });
}

async function writeIfChanged(
  io: Io,
  { written }: Site,
  { path, text, mode }: { readonly path: string; readonly text: string; readonly mode: number },
): Promise<void> {
  if (written.get(path) === text) return;
  await replaceFile(path, text, mode);
  written.set(path, text);
  io.step('written', path);
}

async function removeStale(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter(isWebhookKubeconfig);
  const aged = await Promise.all(
    names.map(async (name) => ({ name, mtimeMs: (await stat(join(directory, name))).mtimeMs })),
  );
  const newest = Math.max(0, ...aged.map(({ mtimeMs }) => mtimeMs));
  for (const { name, mtimeMs } of aged)
    if (mtimeMs < newest - staleAfterMs) await rm(join(directory, name), { force: true });
}
