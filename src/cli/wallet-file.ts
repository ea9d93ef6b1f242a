import { stat } from 'node:fs/promises';
import { ConfigurationError } from '#base';
import { readWallet, type Wallet } from '#chain';

/**
 * The wallet of a key file that only its owner can read. Throws `DAAS_WALLET_KEY_EXPOSED` (exit 78) for one that others can
 * read, and what `readWallet` throws.
 */
export async function readWalletFile(file: string, address?: string): Promise<Wallet> {
  const wallet = await readWallet(file, address);
  const { mode } = await stat(file);
  if ((mode & 0o077) === 0) return wallet;
  throw new ConfigurationError(
    'DAAS_WALLET_KEY_EXPOSED',
    `the wallet key ${file} can be read by others (mode ${(mode & 0o777).toString(8)}): chmod 600 ${file}`,
    { details: { file } },
  );
}
