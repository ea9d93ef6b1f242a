import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { MultiSigPublicKey } from '@mysten/sui/multisig';
import { DaasError } from '#base';
import { SUI } from './chain-world.ts';
import { world } from './open-chain.ts';

/** Wallets whose keys no command sees, and what they do with the files of `--unsigned`. */

export async function refusal(attempt: Promise<unknown>): Promise<DaasError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof DaasError) return error;
  throw new Error(`not refused: ${String(error)}`);
}

/** An account whose key no command sees. */
export interface Account {
  readonly address: string;
  sign(bytes: Uint8Array): Promise<string>;
}

export async function account(sui = 10n): Promise<Account> {
  const keypair = new Ed25519Keypair();
  const address = keypair.toSuiAddress();
  if (sui > 0n) await world.devnet.faucet(address, sui * SUI);
  return { address, sign: async (bytes) => (await keypair.signTransaction(bytes)).signature };
}

/** Two of three keys sign for one address. */
export async function multisig(): Promise<Account> {
  const keys = [new Ed25519Keypair(), new Ed25519Keypair(), new Ed25519Keypair()];
  const publicKey = MultiSigPublicKey.fromPublicKeys({
    threshold: 2,
    publicKeys: keys.map((key) => ({ publicKey: key.getPublicKey(), weight: 1 })),
  });
  await world.devnet.faucet(publicKey.toSuiAddress(), 10n * SUI);
  return {
    address: publicKey.toSuiAddress(),
    sign: async (bytes) => {
      const two = await Promise.all(keys.slice(0, 2).map((key) => key.signTransaction(bytes)));
      return publicKey.combinePartialSignatures(two.map(({ signature }) => signature));
    },
  };
}

type Answer = Record<string, unknown>;

export const bytesOf = ({ bytes }: Answer) => Uint8Array.from(Buffer.from(String(bytes), 'base64'));

/** How a test runs commands: `json` gives what one prints, `nextFile` a path. */
export interface Running {
  readonly json: (...args: string[]) => Promise<Answer>;
  readonly nextFile: () => string;
}

export function signing({ json, nextFile }: Running) {
  /** Has the transaction of a file signed by each of them, and sends it. */
  async function send(file: string, signers: readonly Account[], ...flags: string[]): Promise<Answer> {
    const bytes = bytesOf(await json('transaction', 'show', file));
    const signatures = await Promise.all(signers.map((signer) => signer.sign(bytes)));
    const journal = join(world.directory, `${signers[0]?.address}.json`);
    const signed = signatures.flatMap((signature) => ['--signature', signature]);
    return json('transaction', 'send', file, '--yes', '--journal', journal, ...signed, ...flags);
  }

  /** Writes the transaction of a command, has it signed, and sends it. */
  async function signedElsewhere(signers: readonly Account[], ...command: string[]): Promise<Answer> {
    const file = nextFile();
    const [sender] = signers;
    const written = await json(...command, '--unsigned', file, '--sender', sender?.address ?? '');
    const addresses = signers.map(({ address }) => address);
    if (written.file !== file || String(written.signers) !== String(addresses))
      throw new Error(`${command.join(' ')} wrote ${JSON.stringify(written)}`);
    return send(file, signers);
  }
  return { send, signedElsewhere };
}
