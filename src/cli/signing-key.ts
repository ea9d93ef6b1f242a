import { createPrivateKey, type KeyObject } from 'node:crypto';
import { ConfigurationError, type Log, messageOf } from '#base';
import { readTrustedText } from '#infrastructure';

/**
 * The signing key of a gateway, which the chain names.
 * @throws `DAAS_GATEWAY_KEY_EXPOSED`, `DAAS_GATEWAY_SIGNING_KEY`, and ENOENT as it is.
 */
export async function readSigningKey(file: string): Promise<KeyObject> {
  const pem = await readTrustedText(file, {
    what: 'the signing key of the gateway',
    exposedCode: 'DAAS_GATEWAY_KEY_EXPOSED',
  });
  const key = parsed(pem);
  if (key?.asymmetricKeyType === 'ed25519') return key;
  throw new ConfigurationError(
    'DAAS_GATEWAY_SIGNING_KEY',
    `${file} holds ${key ? `a key of type ${key.asymmetricKeyType}` : 'no private key'}: an Ed25519 key in PKCS#8 PEM is needed; remove the file to have one made`,
  );
}

function parsed(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

/** As `readSigningKey`; `undefined`, with a warning, where no key was made. */
export async function signingKeyIfMade(file: string, log: Log): Promise<KeyObject | undefined> {
  try {
    return await readSigningKey(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    log.warn('The audit file is not signed: there is no signing key, which `gateway setup` makes', {
      detail: messageOf(error),
    });
    return undefined;
  }
}
