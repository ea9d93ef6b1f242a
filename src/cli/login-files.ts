import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigurationError } from '#base';
import type { Deployment } from '#chain';
import type { SealToken } from '#domain';
import { makeTrustedDirectory, replaceFile } from '#infrastructure';
import { type LoginFile, loginFileText, readLoginFile } from '#login';
import { openNodeKey } from '#seal';

/** Where `--login` points unless it is given. */
export function defaultLoginFile(): string {
  const config = process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config');
  return join(config, 'k3s-daas', 'login.json');
}

/**
 * The key file of a login: the one that it names, and for a login that is to be made the one beside it. After a rotation to another
 * file the one beside it may be leaked.
 */
export function keyFileInForce(loginFile: string): string {
  const beside = `${basename(loginFile).replace(/\.json$/, '')}.key`;
  return existingLogin(loginFile)?.keyFile ?? join(dirname(loginFile), beside);
}

/** The public half of a login's key; makes the key if there is none, mode 0600. In a dry run any key serves. */
export async function loginKey(keyFile: string, isDryRun: boolean): Promise<Uint8Array> {
  if (isDryRun) return new Uint8Array(32);
  return (await openNodeKey(keyFile)).publicKey;
}

/** The login file that is there; `undefined`: none. */
function existingLogin(loginFile: string): LoginFile | undefined {
  try {
    return readLoginFile(loginFile);
  } catch (error) {
    if (error instanceof ConfigurationError && (error.cause as NodeJS.ErrnoException)?.code === 'ENOENT')
      return undefined;
    throw error;
  }
}

/**
 * Refuses a login file that is there for another wallet or cluster: its key would be of no use any more.
 * @throws `DAAS_LOGIN_FILE_TAKEN`.
 */
export function assertLoginFree(
  loginFile: string,
  { chainId, clusterId }: Pick<Deployment, 'chainId' | 'clusterId'>,
  wallet: string,
): void {
  const found = existingLogin(loginFile);
  if (!found) return;
  if (found.chainId === chainId && found.clusterId === clusterId && found.wallet === wallet) return;
  throw new ConfigurationError(
    'DAAS_LOGIN_FILE_TAKEN',
    `${loginFile} is the login of wallet ${found.wallet} in cluster ${found.clusterId}: name another file with --login`,
    { details: { loginFile, wallet: found.wallet, clusterId: found.clusterId } },
  );
}

/** Writes the login of a Seal token. */
export async function writeLogin(
  loginFile: string,
  { chainId, clusterId }: Pick<Deployment, 'chainId' | 'clusterId'>,
  { id: sealTokenId, owner: wallet }: Pick<SealToken, 'id' | 'owner'>,
  keyFile: string,
): Promise<void> {
  makeTrustedDirectory(dirname(resolve(loginFile)), { what: 'the directory of the login file' });
  const text = loginFileText({ chainId, clusterId, wallet, sealTokenId, keyFile: resolve(keyFile) });
  await replaceFile(resolve(loginFile), text, 0o600);
}
