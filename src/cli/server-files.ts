import { constants } from 'node:fs';
import { access, readdir, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ConfigurationError } from '#base';
import { AUTHORIZATION_FILE, dropInConflicts, NOWHERE_FILE, SERVER_DROP_IN, serverDropIn } from '#cluster';
import { AUTHORIZER_FILES, authorizerDirectory, webhookTls } from '#gateway';
import { makeTrustedDirectory, replaceFile } from '#infrastructure';
import { units } from '#install';
import { authorizationFilesOf, isWebhookKubeconfig } from './authorizer-files.ts';
import type { GatewaySection } from './gateway-config.ts';
import { programPath } from './install-program.ts';

/** Where a k3s server keeps what it reads. */
export interface ServerPlace {
  /** `/etc/rancher/k3s` */
  readonly k3sConfigDir: string;
  /** `/var/lib/rancher/k3s` */
  readonly k3sDataDir: string;
  /** `/etc/systemd/system`: where it is missing, no unit is written. */
  readonly unitDir: string;
}

/** As the flags of `gateway setup` name it. */
export const placeOf = ({ k3sConfigDir, k3sDataDir, unitDir }: ServerPlace): ServerPlace => ({
  k3sConfigDir,
  k3sDataDir,
  unitDir,
});

/** What the unit of the helper runs. */
export interface ServerProgram {
  readonly program: string;
  /** The gateway's configuration, as it was found: the unit runs in another directory, with other variables. */
  readonly configFile: string | undefined;
}

/** @throws `DAAS_FILE_UNTRUSTED` where others than root can change what root would run at each boot. */
export async function serverProgram(configFile: string | undefined): Promise<ServerProgram> {
  return {
    program: await programPath(dirname(units.DEFAULT_PROGRAM)),
    configFile: configFile === undefined ? undefined : resolve(configFile),
  };
}

export interface ServerSetup {
  readonly config: GatewaySection;
  readonly place: ServerPlace;
  readonly program: ServerProgram;
  readonly support: 'cached' | 'full';
}

/** A file of the server, as it is to be. */
export interface ServerFile {
  readonly path: string;
  /** `undefined`: it depends on keys that are made first. */
  readonly text: string | undefined;
  readonly mode: number;
  readonly why: string;
  /** Holds a private key: not printed. */
  readonly isSecret: boolean;
}

const authorizationDirectory = ({ k3sDataDir }: Pick<ServerPlace, 'k3sDataDir'>): string =>
  join(k3sDataDir, 'server', 'k3s-daas');
export const authorizationFile = (place: Pick<ServerPlace, 'k3sDataDir'>): string =>
  join(authorizationDirectory(place), AUTHORIZATION_FILE);

/**
 * The files of this server in the order in which they are written: what leads to a file comes after it, so that a k3s that
 * starts in between finds everything, or nothing.
 * @throws `DAAS_SERVER_FILES_REFUSED` where this is no k3s server, not root asks, or its settings exclude ours.
 */
export async function serverFiles({
  config,
  place,
  program,
  support,
}: ServerSetup): Promise<readonly ServerFile[]> {
  await refuseConflicts(place);
  const directory = authorizationDirectory(place);
  return [
    ...(await authorizationPart({ config, place, support })),
    {
      path: join(place.k3sConfigDir, SERVER_DROP_IN),
      text: serverDropIn(directory),
      mode: 0o600,
      why: 'k3s gives it to the API server',
      isSecret: false,
    },
    ...((await exists(place.unitDir))
      ? [
          {
            path: unitPath(place),
            text: units.authorizerUnit({
              ...program,
              directory,
              certificates: join(place.k3sDataDir, 'agent'),
              fingerprintsFile: config.authorizer.serverCertificates,
              gatewayFiles: authorizerDirectory(config),
              isOldServer: support === 'cached',
            }),
            mode: 0o644,
            why: 'follows bans and keys, as root',
            isSecret: false,
          },
        ]
      : []),
  ];
}

const unitPath = ({ unitDir }: ServerPlace) => join(unitDir, `${units.AUTHORIZER_UNIT}.service`);

async function authorizationPart({
  config,
  place,
  support,
}: Omit<ServerSetup, 'program'>): Promise<readonly ServerFile[]> {
  const why = 'whom the API server asks, and which names it refuses by itself';
  const key = join(authorizerDirectory(config), AUTHORIZER_FILES.clientKey);
  const directory = authorizationDirectory(place);
  if (!(await exists(key)))
    return [
      { path: join(directory, AUTHORIZATION_FILE), text: undefined, mode: 0o600, why, isSecret: false },
    ];
  const files = await authorizationFilesOf({ config, directory, isOldServer: support === 'cached' });
  return files.map(({ path, text }) => ({
    path,
    text,
    mode: 0o600,
    why,
    isSecret: isWebhookKubeconfig(path),
  }));
}

/** Those that differ from what is on disk. */
export async function differingFiles(files: readonly ServerFile[]): Promise<readonly ServerFile[]> {
  const found = await Promise.all(files.map(isAsWanted));
  return files.filter((_, index) => !found[index]);
}

async function isAsWanted({ path, text, mode }: ServerFile): Promise<boolean> {
  if (text === undefined || !(await exists(path))) return false;
  const [current, status] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
  return current === text && (status.mode & 0o777) === mode;
}

/** Makes the webhook's keys where this user may, as the gateway does at its start. */
export async function ensureWebhookKeys(config: GatewaySection): Promise<void> {
  const owner = await stat(config.stateDir).catch(() => undefined);
  // A gateway of another user makes them itself: it could not read what root has made.
  if (owner === undefined || owner.uid === process.getuid?.()) await webhookTls(config);
}

/** Writes them, each at once or not at all. Resolves with the paths. */
export async function writeServerFiles(files: readonly ServerFile[]): Promise<readonly string[]> {
  const written: string[] = [];
  for (const { path, text = '', mode } of await differingFiles(files)) {
    // Who can write there makes the API server ask somebody else.
    makeTrustedDirectory(
      dirname(path),
      { what: 'the directory of a file of the server', origin: path },
      0o700,
    );
    await replaceFile(path, text, mode);
    written.push(path);
  }
  return written;
}

/** What `removeServerFiles` would remove: the drop-in first, so that a k3s that starts in between finds no lead to a missing file. */
export async function presentServerFiles(place: ServerPlace): Promise<readonly string[]> {
  const directory = authorizationDirectory(place);
  const names = await readdir(directory).catch(() => []);
  const own = names.filter(
    (name) => name === AUTHORIZATION_FILE || name === NOWHERE_FILE || isWebhookKubeconfig(name),
  );
  const candidates = [join(place.k3sConfigDir, SERVER_DROP_IN), unitPath(place)];
  const there = await Promise.all(candidates.map(exists));
  return [...candidates.filter((_, index) => there[index]), ...own.map((name) => join(directory, name))];
}

export async function removeServerFiles(place: ServerPlace): Promise<readonly string[]> {
  const paths = await presentServerFiles(place);
  for (const path of paths) await rm(path, { force: true });
  // Something of the operator's may lie there.
  await rmdir(authorizationDirectory(place)).catch(() => undefined);
  return paths;
}

/** @throws `DAAS_SERVER_FILES_REFUSED` */
export async function refuseElsewhere({ k3sDataDir }: ServerPlace): Promise<void> {
  if (process.getuid?.() !== 0)
    throw refused(
      'this user is not root: run `k3s-daas gateway setup --server-files` as root on the k3s server',
    );
  if (!(await exists(join(k3sDataDir, 'server'))))
    throw refused(
      `${join(k3sDataDir, 'server')} does not exist, so no k3s server has run here: run this on each server, or name its data directory by --k3s-data-dir`,
    );
}

async function refuseConflicts(place: ServerPlace): Promise<void> {
  const { k3sConfigDir } = place;
  const own = join(k3sConfigDir, SERVER_DROP_IN);
  const directory = dirname(own);
  const names = await readdir(directory).catch(() => []);
  const paths = [
    join(k3sConfigDir, 'config.yaml'),
    ...names
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
      .map((name) => join(directory, name)),
  ].filter((path) => path !== own);
  const others = await Promise.all(
    paths.map(async (path) => ({ path, text: await readFile(path, 'utf8').catch(() => '') })),
  );
  const conflicts = dropInConflicts(others, (path) => dirname(path) === directory && path > own);
  if (conflicts.length > 0) throw refused(`${conflicts.join('; ')}. Nothing was written`);
}

function refused(message: string): ConfigurationError {
  return new ConfigurationError('DAAS_SERVER_FILES_REFUSED', message);
}

function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  );
}
