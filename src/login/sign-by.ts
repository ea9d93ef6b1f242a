import type { KeyObject } from 'node:crypto';
import { ed25519, isEncrypted, type LoginFile, parseLoginKey, readLoginKeyText } from './login-file.ts';
import { type SignedLogin, signLogin, unsignedLogin, withSignature } from './sign-login.ts';

interface Circumstances {
  readonly nowMs: number;
  /** `SSH_AUTH_SOCK` */
  readonly agentSocket: string | undefined;
  /** A person sits at the terminal. */
  readonly mayAsk: boolean;
}

/** Signs a login with the key that its file names. What a plain key file does not need is loaded when it is needed. */
export async function signBy(
  login: LoginFile,
  { nowMs, agentSocket, mayAsk }: Circumstances,
): Promise<SignedLogin> {
  const { key } = login;
  switch (key.kind) {
    case 'file':
      return signLogin(login, await openKeyFile(key.file, mayAsk), nowMs);
    case 'keyring': {
      const { readFromKeyring } = await import('./keyring.ts');
      return signLogin(login, readFromKeyring(key.publicKey), nowMs);
    }
    case 'ssh-agent': {
      const { signWithAgent } = await import('./ssh-agent.ts');
      const unsigned = unsignedLogin(login, key.publicKey, nowMs);
      return withSignature(
        unsigned,
        await signWithAgent({ socket: agentSocket }, key.publicKey, unsigned.signed),
      );
    }
    default:
      return key satisfies never;
  }
}

/**
 * The private key in a file; asks for its passphrase if it has one.
 * @throws `DAAS_LOGIN_KEY_…`, `DAAS_LOGIN_PASSPHRASE_…`.
 */
export async function openKeyFile(path: string, mayAsk: boolean): Promise<KeyObject> {
  const pem = readLoginKeyText(path);
  if (!isEncrypted(pem)) return parseLoginKey(pem, path);
  const { decryptKey } = await import('./encrypted-key.ts');
  const { askPassphrase, needed } = await import('./passphrase.ts');
  if (!mayAsk) throw needed(`the key ${path} has a passphrase, and the caller leaves no terminal to ask on`);
  return ed25519(decryptKey(pem, await askPassphrase(`Passphrase of ${path}: `), path), path);
}
