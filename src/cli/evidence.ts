import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { ConfigurationError, messageOf } from '#base';
import { openRegular } from '#infrastructure';

/** The SHA-256 that goes on chain: of a file, or as it is given in 64 hex digits. Throws `DAAS_EVIDENCE_UNREADABLE`. */
export async function hashOf(text: string, flag: string): Promise<Uint8Array> {
  if (/^(?:0x)?[0-9a-fA-F]{64}$/.test(text))
    return Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'));
  const hash = createHash('sha256');
  try {
    await pipeline((await openRegular(text)).createReadStream(), hash);
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_EVIDENCE_UNREADABLE',
      `${flag}: '${text}' is no SHA-256 and cannot be read as a file (${messageOf(cause)}): give a file, or 64 hexadecimal digits`,
      { cause, details: { flag } },
    );
  }
  return Uint8Array.from(hash.digest());
}
