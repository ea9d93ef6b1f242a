import { type Command, Option } from 'commander';
import { ConfigurationError } from '#base';
import type { Deployment } from '#chain';
import { base64Of, type MoneyAct, unsignedTransactionText, type WalletStakeChain } from '#chain';
import { replaceFile } from '#infrastructure';
import { costJson, costLines, parseCount } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { addressOf } from './sui-address.ts';

export interface UnsignedOptions {
  readonly unsigned?: string;
  readonly sender?: string;
  readonly gasOwner?: string;
  readonly moreEpochs?: string;
}

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

/** Throws `DAAS_FLAG_MISSING` for flags that mean nothing without --unsigned. */
export function judgeUnsignedFlags({ unsigned, sender, gasOwner }: UnsignedOptions): void {
  if (unsigned !== undefined) return;
  const alone = sender !== undefined ? '--sender' : gasOwner !== undefined ? '--gas-owner' : undefined;
  if (alone === undefined) return;
  throw new ConfigurationError(
    'DAAS_FLAG_MISSING',
    `${alone} is for a transaction that is signed elsewhere: add --unsigned FILE, or sign with --key-file`,
    { details: { flag: '--unsigned' } },
  );
}

/** What is written instead of being signed. */
export interface UnsignedWork {
  readonly chain: Pick<WalletStakeChain, 'prepareAct' | 'wallet'>;
  readonly deployment: Deployment;
  readonly act: MoneyAct;
  /** What it does, as it is announced. */
  readonly facts: ReadonlyArray<readonly [string, string]>;
}

/** Judges and simulates an act, and writes its transaction to a file for others to sign. */
export async function writeUnsigned(
  io: Io,
  { chain, deployment, act, facts }: UnsignedWork,
  options: UnsignedOptions & { readonly dryRun?: boolean },
): Promise<void> {
  const { unsigned: file = '', moreEpochs = '1' } = options;
  const gasOwner = options.gasOwner === undefined ? undefined : addressOf(options.gasOwner, '--gas-owner');
  const prepared = await chain.prepareAct(act, {
    gasOwner,
    moreEpochs: parseCount(moreEpochs, '--more-epochs'),
  });
  const isSponsored = gasOwner !== undefined && gasOwner !== chain.wallet;
  const signers = isSponsored ? [chain.wallet, gasOwner] : [chain.wallet];
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
