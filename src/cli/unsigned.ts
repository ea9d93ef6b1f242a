import { type Command, Option } from 'commander';
import {
  base64Of,
  type Draft,
  type MoneyAct,
  type SignedAct,
  unsignedTransactionText,
  type WalletStakeChain,
  type Where,
} from '#chain';
import { replaceFile } from '#infrastructure';
import {
  costJson,
  costLines,
  outsideOf,
  type UnsignedOptions,
  withDeployment,
  withSpending,
} from './chain-options.ts';
import { type Io, table } from './io.ts';

/** For wallets that sign elsewhere. */
export function withUnsigned(command: Command): Command {
  return command
    .option(
      '--unsigned <file>',
      'sign nothing: write the transaction to this file, to be signed by any wallet and sent by `k3s-daas transaction send`',
    )
    .option(
      '--sender <address>',
      'with --unsigned: the wallet that signs, instead of --key-file; a multisig too',
    )
    .option('--gas-owner <address>', 'with --unsigned: another wallet that pays the gas, and signs too')
    .addOption(
      new Option(
        '--more-epochs <count>',
        'with --unsigned: for how many epochs more than the current one it can be sent',
      ).default('1'),
    );
}

/** Options of a command that changes the cluster by a transaction, which can be signed elsewhere. */
export const withClusterAct = (command: Command): Command =>
  withUnsigned(withDeployment(withSpending(command)));

/** What is written instead of being signed. */
export interface UnsignedWork {
  readonly chain: Pick<WalletStakeChain, 'prepareAct' | 'wallet'>;
  readonly deployment: Where;
  readonly act: MoneyAct;
  /** What it does, as it is announced. */
  readonly facts: ReadonlyArray<readonly [string, string]>;
}

type WriteOptions = UnsignedOptions & { readonly dryRun?: boolean };

/** Judges and simulates an act of a staker, and writes its transaction to a file for others to sign. */
export async function writeUnsigned(
  io: Io,
  { chain, deployment, act, facts }: UnsignedWork,
  options: WriteOptions,
): Promise<void> {
  const prepared = await chain.prepareAct(act, outsideOf(options));
  await writeDraft(io, { act, prepared, deployment, sender: chain.wallet, facts }, options);
}

/** A transaction for others to sign, with what it does as it is announced. */
type AnnouncedDraft = Omit<Draft, 'act'> & {
  readonly act: SignedAct;
  readonly facts: ReadonlyArray<readonly [string, string]>;
};

/** Writes a transaction to the file of --unsigned, and says who signs it and how it is sent. */
export async function writeDraft(
  io: Io,
  { act, prepared, deployment, sender, facts }: AnnouncedDraft,
  options: WriteOptions,
): Promise<void> {
  const { unsigned: file = '' } = options;
  const { gasOwner } = outsideOf(options);
  const isSponsored = gasOwner !== undefined && gasOwner !== sender;
  const signers = isSponsored ? [sender, gasOwner] : [sender];
  const bytes = base64Of(prepared.bytes);
  if (!options.dryRun) await replaceFile(file, unsignedTransactionText(deployment, act, prepared));
  const signatures = signers.map(() => '--signature SIGNATURE').join(' ');
  io.result(
    {
      dryRun: options.dryRun ?? false,
      file,
      digest: prepared.digest,
      bytes,
      signers,
      expirationEpoch: prepared.expirationEpoch,
      ...costJson(prepared),
    },
    table([
      ...facts,
      ...costLines(prepared),
      ['digest', prepared.digest],
      ['until', `epoch ${prepared.expirationEpoch} ends, or a coin that it takes is used otherwise`],
      ...(options.dryRun
        ? [['written', 'nothing: this was a dry run']]
        : [
            ['written', file],
            ...signers.map((signer) => ['sign', `sui keytool sign --address ${signer} --data ${bytes}`]),
            ['send', `k3s-daas transaction send ${file} ${signatures}`],
          ]),
    ]),
  );
}
