import { createPublicKey, verify } from 'node:crypto';
import { createConnection } from 'node:net';
import { ConfigurationError, messageOf } from '#base';

/**
 * A client of an ssh-agent for two questions: which Ed25519 keys it has, and a signature by one of them (draft-ietf-sshm-ssh-agent,
 * RFC 8709). What it signs here begins with `eyJ`: no user authentication of SSH and no `SSHSIG` does, so that neither signature can
 * stand for the other.
 */
export interface SshAgent {
  /** `SSH_AUTH_SOCK` */
  readonly socket: string | undefined;
  /** An agent may ask its owner first (`ssh-add -c`). */
  readonly withinMs?: number;
}

export interface AgentKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly comment: string;
}

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const KEY_TYPE = 'ssh-ed25519';
/** OpenSSH's own limit for a message. */
const LONGEST_REPLY = 256 * 1024;
const DEFAULT_WITHIN_MS = 30_000;

/** The Ed25519 keys of the agent; security keys (`sk-…`) sign something else and are left out. */
export async function agentKeys(agent: SshAgent): Promise<readonly AgentKey[]> {
  const reply = await ask(agent, Buffer.of(REQUEST_IDENTITIES));
  return understood(agent, () => {
    const fields = new Fields(reply);
    if (fields.byte() !== IDENTITIES_ANSWER) throw new Error('it does not list its keys');
    const keys: AgentKey[] = [];
    for (let left = fields.number(); left > 0; left -= 1) {
      const [blob, comment] = [new Fields(fields.bytes()), fields.bytes().toString('utf8')];
      if (blob.text() === KEY_TYPE) keys.push({ publicKey: new Uint8Array(blob.bytes()), comment });
    }
    return keys;
  });
}

/**
 * The Ed25519 signature of `data`, 64 bytes, which is right: the agent's word is not taken for it.
 * @throws `DAAS_LOGIN_AGENT_UNAVAILABLE`, `DAAS_LOGIN_AGENT_REFUSED`, `DAAS_LOGIN_AGENT_INVALID`.
 */
export async function signWithAgent(agent: SshAgent, publicKey: Uint8Array, data: Buffer): Promise<Buffer> {
  const blob = Buffer.concat([field(KEY_TYPE), field(publicKey)]);
  const reply = await ask(
    agent,
    Buffer.concat([Buffer.of(SIGN_REQUEST), field(blob), field(data), number(0)]),
  );
  if (reply[0] !== SIGN_RESPONSE)
    throw new ConfigurationError(
      'DAAS_LOGIN_AGENT_REFUSED',
      `the ssh-agent does not sign with the key ${fingerprint(publicKey)}: it is not loaded, or its owner declined. Load it with ssh-add`,
    );
  return understood(agent, () => {
    const fields = new Fields(reply.subarray(1));
    const signature = new Fields(fields.bytes());
    if (signature.text() !== KEY_TYPE) throw new Error('the signature is of another kind');
    const bytes = signature.bytes();
    if (!verify(null, data, keyObject(publicKey), bytes)) throw new Error('the signature is wrong');
    return bytes;
  });
}

/** Base64 without padding, as OpenSSH prints it. */
const fingerprint = (publicKey: Uint8Array) => Buffer.from(publicKey).toString('base64').replace(/=+$/, '');

const keyObject = (publicKey: Uint8Array) =>
  createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
    format: 'jwk',
  });

function understood<T>({ socket }: SshAgent, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_LOGIN_AGENT_INVALID',
      `the answer of the ssh-agent at ${socket} cannot be used: ${messageOf(cause)}. Check what listens there (SSH_AUTH_SOCK)`,
      { cause },
    );
  }
}

/** One message and its reply, without their length. */
function ask(agent: SshAgent, message: Buffer): Promise<Buffer> {
  const { socket, withinMs = DEFAULT_WITHIN_MS } = agent;
  if (!socket)
    throw new ConfigurationError(
      'DAAS_LOGIN_AGENT_UNAVAILABLE',
      'SSH_AUTH_SOCK is not set, and the key of this login is in an ssh-agent: start one, or start the program from a session that has one',
    );
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const connection = createConnection(socket);
  const fail = (why: string, cause?: unknown) =>
    reject(
      new ConfigurationError(
        'DAAS_LOGIN_AGENT_UNAVAILABLE',
        `the ssh-agent at ${socket} (SSH_AUTH_SOCK) does not answer: ${why}. Start an agent, and load the key with ssh-add`,
        { cause },
      ),
    );
  const timer = setTimeout(() => fail(`nothing came within ${withinMs / 1_000} s`), withinMs);
  let taken = Buffer.alloc(0);
  connection.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message, error));
  connection.on('close', () => fail('it closed the connection'));
  connection.on('data', (chunk: Buffer) => {
    taken = Buffer.concat([taken, chunk]);
    if (taken.length < 4) return;
    const length = taken.readUInt32BE(0);
    if (length === 0 || length > LONGEST_REPLY) fail(`its reply is ${length} bytes long`);
    else if (taken.length >= 4 + length) resolve(taken.subarray(4, 4 + length));
  });
  connection.write(field(message));
  return promise.finally(() => {
    clearTimeout(timer);
    connection.destroy();
  });
}

/** Reads the fields of a message (RFC 4251, section 5); what ends too early throws. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  byte(): number {
    this.#at += 1;
    return this.#bytes.readUInt8(this.#at - 1);
  }
  number(): number {
    this.#at += 4;
    return this.#bytes.readUInt32BE(this.#at - 4);
  }
  bytes(): Buffer {
    const length = this.number();
    if (this.#at + length > this.#bytes.length) throw new Error('a field is longer than the reply');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  text(): string {
    return this.bytes().toString('latin1');
  }
}

function field(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
