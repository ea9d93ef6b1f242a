import { z } from 'zod';
import { ConfigurationError, httpsOriginProblem } from '#base';
import { OPERATOR_ROLES } from '#gateway';
import { readTrustedText } from '#infrastructure';

/** What `gateway operator add` writes for its holder. */
const OperatorFile = z.strictObject({
  version: z.literal(1),
  name: z.string(),
  role: z.enum(OPERATOR_ROLES),
  url: z.string().refine((text) => httpsOriginProblem(text) === undefined),
  /** SHA-256 of the gateway's TLS keys (SubjectPublicKeyInfo), hexadecimal. */
  gateway_pins: z.array(z.string().regex(/^[0-9a-f]{64}$/)).min(1),
  certificate: z.string(),
  key: z.string(),
  /** Milliseconds since the epoch. */
  expires_at: z.number(),
});
export type OperatorFile = z.infer<typeof OperatorFile>;

export function operatorFileText(file: OperatorFile): string {
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Reads such a file.
 * @throws `DAAS_OPERATOR_KEY_EXPOSED`, `DAAS_OPERATOR_FILE_INVALID` also when its certificate has expired.
 */
export async function readOperatorFile(path: string, nowMs: number): Promise<OperatorFile> {
  const rules = { what: 'the file of the operator', origin: '--operator' };
  let file: OperatorFile;
  try {
    const text = await readTrustedText(path, { ...rules, exposedCode: 'DAAS_OPERATOR_KEY_EXPOSED' });
    file = OperatorFile.parse(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_OPERATOR_FILE_INVALID',
      `${path} (--operator) cannot be read, or is not what 'k3s-daas gateway operator add' writes: check the path, or ask for a new file`,
      { cause },
    );
  }
  if (nowMs >= file.expires_at)
    throw new ConfigurationError(
      'DAAS_OPERATOR_FILE_INVALID',
      `the certificate in ${path} (--operator) has expired on ${new Date(file.expires_at).toISOString()}: ask for a new file`,
    );
  return file;
}
