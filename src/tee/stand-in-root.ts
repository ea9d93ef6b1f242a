import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigurationError } from '#base';
import { readTrustedText, replaceFile } from '#infrastructure';
import { type DevIdentity, issue } from './dev-chain.ts';

const RootFile = z.strictObject({
  format: z.literal('k3s-daas-dev-root/1'),
  name: z.string(),
  algorithm: z.enum(['P-256', 'RSA-PSS']),
  certificate: z.base64(),
  privateKey: z.string(),
});

export interface StandInRootOptions {
  readonly kind: 'sev-snp' | 'tdx';
  /** It is made here, once, with mode 0600. */
  readonly directory: string;
  readonly nowMs: number;
}

const TEN_YEARS_MS = 10 * 365 * 86_400_000;

/**
 * The root of a stand-in that stays the same over restarts, so that a policy of the mode `dev` can name it. Whoever has the file can
 * make evidence that such a policy accepts: it proves nothing to begin with.
 * @throws ConfigurationError `DAAS_TEE_FILE_UNREADABLE`
 */
export async function openStandInRoot({ kind, directory, nowMs }: StandInRootOptions): Promise<DevIdentity> {
  const file = join(directory, `tee-dev-${kind}.json`);
  const text = await readTrustedText(file, { what: 'the root of the stand-in' }).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (text !== undefined) return parsed(text, file);
  const name = kind === 'tdx' ? 'dev-SGX-root' : 'dev-ARK-Milan';
  const algorithm = kind === 'tdx' ? 'P-256' : 'RSA-PSS';
  const root = await issue({ nowMs, name, algorithm, isCa: true, validityMs: TEN_YEARS_MS });
  const kept: z.infer<typeof RootFile> = {
    format: 'k3s-daas-dev-root/1',
    name,
    algorithm,
    certificate: root.certificate.toString('base64'),
    privateKey: root.key.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
  await replaceFile(file, `${JSON.stringify(kept, undefined, 2)}\n`, 0o600);
  return root;
}

function parsed(text: string, file: string): DevIdentity {
  try {
    const { name, algorithm, certificate, privateKey } = RootFile.parse(JSON.parse(text));
    const der = Buffer.from(certificate, 'base64');
    const { serialNumber } = new X509Certificate(der);
    return {
      name,
      algorithm,
      certificate: der,
      serial: serialNumber.toLowerCase(),
      key: createPrivateKey(privateKey),
    };
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_TEE_FILE_UNREADABLE',
      `the root of the stand-in is damaged: ${file}. Remove it, and name the new root in the policies of the mode dev`,
      { cause, details: { file } },
    );
  }
}

function isMissing(error: unknown): boolean {
  const { code, cause } = error as { readonly code?: unknown; readonly cause?: unknown };
  return code === 'ENOENT' || (typeof cause === 'object' && cause !== null && isMissing(cause));
}
