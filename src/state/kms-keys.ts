import { ConfigurationError, messageOf, Secret } from '#base';
import { askProgram, readTrustedText } from '#infrastructure';
import { invalid, isKeyId, KEY_BYTES, KEYS_SETTING, linesOf, readKeyFile, rotationOf } from './key-lines.ts';
import type { KeyProvider } from './key-provider.ts';

/** Keys that AWS KMS opens for an enclave by its attestation document, asked for by `kmstool_enclave_cli`. */
export interface KmsKeySource {
  /** Absolute path of kmstool_enclave_cli. */
  readonly program: string;
  /** One key a line: `<id> <the encrypted key in base64>`. */
  readonly file: string;
  readonly region: string;
  /** The KMS key that encrypts new ones. */
  readonly keyId: string;
  /** Of vsock-proxy on the parent instance. */
  readonly proxyPort: number;
  /** JSON as the instance metadata has it: `AccessKeyId`, `SecretAccessKey`, `Token` (0600). */
  readonly credentialsFile: string;
}

const timeoutMs = 20_000;

export function kmsKeys(source: KmsKeySource, refreshEveryMs: number): KeyProvider {
  // KMS is asked once for each key: what it opened stays in this process.
  const opened = new Map<string, Secret>();
  return {
    refreshEveryMs,
    async read() {
      const lines: string[] = [];
      for (const [id, encrypted] of encryptedKeys(await readKeyFile(source.file))) {
        const key = opened.get(encrypted) ?? (await decrypt(source, encrypted));
        opened.set(encrypted, key);
        lines.push(`${id} ${key.reveal()}`);
      }
      return new Secret(lines.join('\n'));
    },
    rotation: rotationOf(source.file, {
      idsIn: (text) => encryptedKeys(text).map(([id]) => id),
      valueFor: () => generate(source),
    }),
  };
}

function encryptedKeys(text: string): ReadonlyArray<readonly [id: string, encrypted: string]> {
  return linesOf(text).map(([id = '', encrypted = '', ...rest], index) => {
    if (!isKeyId(id) || !isBase64(encrypted) || rest.length > 0)
      throw invalid(`line ${index + 1} is not '<id> <an encrypted key in base64>'`);
    return [id, encrypted];
  });
}

const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/]{16,8192}={0,2}$/.test(text);

async function decrypt(source: KmsKeySource, encrypted: string): Promise<Secret> {
  const output = await ask(source, 'decrypt', ['--ciphertext', encrypted]);
  const key = Buffer.from(fieldOf(source, output, 'PLAINTEXT'), 'base64');
  if (key.length !== KEY_BYTES) throw invalid(`KMS opened a key of ${key.length} bytes, not ${KEY_BYTES}`);
  return new Secret(key.toString('base64url'));
}

/** The plain key is printed, too: a start opens the encrypted one. */
async function generate(source: KmsKeySource): Promise<string> {
  const output = await ask(source, 'genkey', ['--key-id', source.keyId, '--key-spec', 'AES-256']);
  const encrypted = fieldOf(source, output, 'CIPHERTEXT');
  if (!isBase64(encrypted)) throw invalid(`${source.program} printed no encrypted key`);
  return encrypted;
}

function fieldOf({ program }: KmsKeySource, output: Secret, name: 'PLAINTEXT' | 'CIPHERTEXT'): string {
  const line = output
    .reveal()
    .split('\n')
    .find((text) => text.startsWith(`${name}: `));
  if (line === undefined) throw invalid(`${program} printed no ${name}`);
  return line.slice(name.length + 2).trim();
}

/** The program takes the credentials in its arguments and in no other way: those of an enclave are seen in the enclave alone. */
async function ask(
  source: KmsKeySource,
  name: 'decrypt' | 'genkey',
  words: readonly string[],
): Promise<Secret> {
  const { program, region, proxyPort } = source;
  const { id, secret, token } = await credentialsOf(source);
  const call = {
    program,
    arguments: [
      name,
      '--region',
      region,
      '--proxy-port',
      String(proxyPort),
      '--aws-access-key-id',
      id,
      '--aws-secret-access-key',
      secret.reveal(),
      '--aws-session-token',
      token.reveal(),
      ...words,
    ],
    timeoutMs,
    origin: `${KEYS_SETTING}.kms.program`,
  };
  try {
    return new Secret((await askProgram(call)).toString('utf8'));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalid(
      `${program} ${name}: ${messageOf(cause)}. The key policy of KMS has to name this image (kms:RecipientAttestation)`,
      cause,
    );
  }
}

interface Credentials {
  readonly id: string;
  readonly secret: Secret;
  readonly token: Secret;
}

async function credentialsOf({ credentialsFile }: KmsKeySource): Promise<Credentials> {
  try {
    const text = await readTrustedText(credentialsFile, {
      what: 'the credentials for KMS',
      origin: `${KEYS_SETTING}.kms.credentialsFile`,
      exposedCode: 'DAAS_STATE_KEYS_EXPOSED',
    });
    const { AccessKeyId: id, SecretAccessKey: secret, Token: token } = JSON.parse(text) as CredentialsReply;
    if (!isText(id) || !isText(secret) || !isText(token))
      throw new Error('it lacks AccessKeyId, SecretAccessKey or Token');
    return { id, secret: new Secret(secret), token: new Secret(token) };
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    // A parser quotes what it reads.
    const why = cause instanceof SyntaxError ? 'it is not JSON' : messageOf(cause);
    throw invalid(`${credentialsFile} cannot be used: ${why}`);
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

/** As http://169.254.169.254/latest/meta-data/iam/security-credentials/ROLE replies. */
type CredentialsReply = Readonly<Partial<Record<'AccessKeyId' | 'SecretAccessKey' | 'Token', unknown>>>;
