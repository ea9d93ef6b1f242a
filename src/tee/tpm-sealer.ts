import { z } from 'zod';
import { ConfigurationError, messageOf, Secret } from '#base';
import { missing } from './provider.ts';
import { type TpmAccess, type TpmTools, tpmNeeds, withTpmTools } from './tpm-tools.ts';

export interface TpmSealerOptions extends TpmAccess {
  /** Registers of the SHA-256 bank that must have the values that they have at the sealing; none: any state of this machine. */
  readonly pcrs: readonly number[];
}

/** As it stands in a file: an object of the TPM, which no other TPM can load. */
interface TpmSealed {
  readonly by: 'tpm';
  readonly pcrs: readonly number[];
  /** TPM2B_PUBLIC and TPM2B_PRIVATE, base64. */
  readonly public: string;
  readonly private: string;
}

export interface TpmSealer {
  /** Of at most 128 characters. @throws `DAAS_TEE_DEVICE_MISSING`, `DAAS_TEE_DEVICE_FAILED` */
  seal(secret: Secret): Promise<Readonly<Record<string, unknown>>>;
  /** @throws `DAAS_NODE_KEY_NOT_OPENED`, `DAAS_TEE_DEVICE_MISSING` */
  open(sealed: Readonly<Record<string, unknown>>): Promise<Secret>;
  isCurrent(sealed: Readonly<Record<string, unknown>>): boolean;
}

const NEEDED = [
  'tpm2_createprimary',
  'tpm2_create',
  'tpm2_createpolicy',
  'tpm2_load',
  'tpm2_unseal',
] as const;

const Sealed = z.strictObject({
  by: z.literal('tpm'),
  pcrs: z.array(z.int().min(0).max(23)).readonly(),
  public: z.base64().max(4_096),
  private: z.base64().max(4_096),
});

/**
 * Seals secrets under the storage key of this machine's TPM, and under the values of its registers now. The parent is the same
 * ECC key at each time: the TPM derives it from its own seed.
 */
export function tpmSealer(options: TpmSealerOptions): TpmSealer {
  const pcrs = [...new Set(options.pcrs)].toSorted((one, other) => one - other);
  return {
    seal: async (secret) => ({ ...(await atWork(options, (tools) => seal(tools, pcrs, secret))) }),
    async open(given) {
      const parsed = Sealed.safeParse(given);
      if (!parsed.success) throw notOpened('its file is not what this version writes');
      return atWork(options, (tools) => open(tools, parsed.data));
    },
    isCurrent(given) {
      const parsed = Sealed.safeParse(given);
      return parsed.success && parsed.data.pcrs.join() === pcrs.join();
    },
  };
}

async function atWork<T>(options: TpmSealerOptions, work: (tools: TpmTools) => Promise<T>): Promise<T> {
  const need = await tpmNeeds(options, NEEDED);
  if (need !== undefined) throw missing('the TPM', need);
  return withTpmTools(options, undefined, async (tools) => {
    const parent = tools.file('parent');
    await tools.run('tpm2_createprimary', ['-Q', '-C', 'o', '-g', 'sha256', '-G', 'ecc', '-c', parent]);
    return work(tools);
  });
}

/** Sealed to registers, it opens by their policy alone; else by whoever reaches this TPM. */
const ATTRIBUTES = 'fixedtpm|fixedparent|noda';

async function seal(
  { run, file, read }: TpmTools,
  pcrs: readonly number[],
  secret: Secret,
): Promise<TpmSealed> {
  if (pcrs.length > 0)
    await run('tpm2_createpolicy', ['-Q', '--policy-pcr', '-l', selectionOf(pcrs), '-L', file('policy')]);
  const condition =
    pcrs.length > 0 ? ['-a', ATTRIBUTES, '-L', file('policy')] : ['-a', `${ATTRIBUTES}|userwithauth`];
  const written = ['-u', file('public'), '-r', file('private')];
  // By standard input: neither a file nor the list of processes has it.
  const words = ['-Q', '-C', file('parent'), '-g', 'sha256', ...condition, ...written, '-i', '-'];
  await run('tpm2_create', words, secret.reveal());
  const text = async (name: string) => (await read(name)).toString('base64');
  return { by: 'tpm', pcrs, public: await text('public'), private: await text('private') };
}

async function open({ run, file, write }: TpmTools, sealed: TpmSealed): Promise<Secret> {
  await write('public', Buffer.from(sealed.public, 'base64'));
  await write('private', Buffer.from(sealed.private, 'base64'));
  const loaded = ['-u', file('public'), '-r', file('private'), '-c', file('sealed')];
  await run('tpm2_load', ['-Q', '-C', file('parent'), ...loaded]).catch((error: unknown) => {
    throw isAnswer(error, /integrity check failed/)
      ? notOpened('another TPM has sealed it, or this one was cleared since', error)
      : error;
  });
  const { pcrs } = sealed;
  const condition = pcrs.length > 0 ? ['-p', `pcr:${selectionOf(pcrs)}`] : [];
  const secret = await run('tpm2_unseal', ['-c', file('sealed'), ...condition]).catch((error: unknown) => {
    throw isAnswer(error, /policy check failed/)
      ? notOpened(`PCR${pcrs.join(', PCR')} has another value than when it was sealed`, error)
      : error;
  });
  return new Secret(secret.toString('latin1'));
}

const selectionOf = (pcrs: readonly number[]) => `sha256:${pcrs.join(',')}`;

/** What the TPM itself answered, by the words of tpm2-tools; a tool that did not come so far has said nothing of the key. */
const isAnswer = (error: unknown, words: RegExp) => words.test(messageOf(error));

function notOpened(why: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_NODE_KEY_NOT_OPENED',
    `the TPM of this machine does not open the node key: ${why}. Bring back the machine and the boot that it was sealed in; or remove the key file, and bind the Seal token to the new key with \`k3s-daas token rotate\``,
    { cause, details: { device: 'the TPM' } },
  );
}
