import { join } from 'node:path';
import { messageOf } from '#base';
import { bad, type Check, good, type TeeState } from './doctor-check.ts';
import { nodeKeySealer } from './node-key-sealer.ts';
import type { Loaded } from './settings.ts';

/** What proves this machine to a gateway, and whether its TPM opens the node key. */
export const teeChecks: readonly Check[] = [
  {
    id: 'evidence',
    group: 'machine',
    what: 'evidence of this machine',
    link: 'attestation.md#workers-that-prove-what-they-run',
    async judge(probes) {
      const { provider, found } = await probes.tee();
      if (!found) return good('none is made (attestation.evidence.provider)');
      if (found.isHere) return good(`${provider}: ${found.what}`);
      return bad(
        `${provider}: ${found.what}`,
        'mend what is named, or set attestation.evidence.provider to what this machine has',
      );
    },
  },
  {
    id: 'node-key',
    group: 'machine',
    what: 'node key',
    link: 'attestation.md#a-node-key-that-the-tpm-seals',
    async judge(probes) {
      const { isSealed, sealProblem } = await probes.tee();
      if (!isSealed) return good('in clear text, mode 0600 (nodeKey.sealing)');
      if (sealProblem === undefined) return good('sealed, and the TPM of this machine opens it');
      return bad(sealProblem, 'bring back the machine and the boot that it was sealed in, or rotate the key');
    },
  },
];

/** Looks for the device, and opens the key; makes neither evidence nor key. */
export async function teeState(settings: Loaded): Promise<TeeState> {
  const { attestation, nodeKey, stateDir } = settings.value;
  const { provider } = attestation.evidence;
  const isSealed = nodeKey.sealing !== 'none';
  if (provider === 'none' && !isSealed) return { provider, isSealed };
  const [{ evidenceProviders }, { readNodeKey }] = await Promise.all([import('#tee'), import('#seal')]);
  const { provider: _, collateralFile: __, ...asked } = attestation.evidence;
  const options = { ...asked, tcti: process.env.TPM2TOOLS_TCTI, nowMs: Date.now() };
  const found = provider === 'none' ? undefined : await evidenceProviders(options)[provider].find();
  const sealer = await nodeKeySealer(settings);
  const opened = sealer && readNodeKey(join(stateDir, 'node.key'), sealer);
  const sealProblem = await opened?.then(() => undefined).catch(messageOf);
  return { provider, found, isSealed, sealProblem };
}
