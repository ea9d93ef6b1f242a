import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { ConfigurationError } from '#base';
import type { Deployment } from '#chain';
import type { SealToken } from '#domain';
import { makeTrustedDirectory, replaceFile } from '#infrastructure';
import { type LoginFile, type LoginKey, loginFileText, readLoginFile } from '#login';

/** Where `--login` points unless it is given. */
export function defaultLoginFile(): string {
  const config = process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config');
  return join(config, 'k3s-daas', 'login.json');
}

/** The login file that is there; `undefined`: none. */
export function existingLogin(loginFile: string): LoginFile | undefined {
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
  key: LoginKey,
): Promise<void> {
  makeTrustedDirectory(dirname(resolve(loginFile)), { what: 'the directory of the login file' });
  const text = loginFileText({ chainId, clusterId, wallet, sealTokenId, key });
  await replaceFile(resolve(loginFile), text, 0o600);
}
