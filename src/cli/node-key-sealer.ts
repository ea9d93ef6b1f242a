import type { KeySealer } from '#seal';
import type { Loaded } from './settings.ts';

/** What seals the node key by the settings; `undefined`: nothing does. */
export async function nodeKeySealer({ value: { nodeKey } }: Loaded): Promise<KeySealer | undefined> {
  if (nodeKey.sealing === 'none') return undefined;
  const { tpmSealer } = await import('#tee');
  return tpmSealer({ pcrs: nodeKey.pcrs, tcti: process.env.TPM2TOOLS_TCTI });
}
