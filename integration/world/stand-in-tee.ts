import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What the stand-in of a confidential guest measures: 48 bytes. */
export const STAND_IN_MEASUREMENT = Buffer.alloc(48, 0x5a);
/** What the chain names for a gateway that runs something else. */
export const OTHER_MEASUREMENT = Buffer.alloc(48, 0x11);
/** Of the `gateway` section: evidence by a stand-in. */
export const STAND_IN_EVIDENCE = { attestation: { provider: 'dev' } } as const;

/** SHA-256 of the root of a gateway's stand-in; the gateway has made it by the time that it is ready. */
async function rootOf(gatewayConfigFile: string): Promise<string> {
  const file = join(dirname(gatewayConfigFile), 'state', 'tee-dev-sev-snp.json');
  const { certificate } = JSON.parse(await readFile(file, 'utf8')) as { readonly certificate: string };
  return createHash('sha256').update(Buffer.from(certificate, 'base64')).digest('hex');
}

interface PolicyOf {
  readonly gateways: ReadonlyArray<{ readonly gatewayConfigFile: string }>;
  readonly change?: Readonly<Record<string, unknown>>;
}

/** Writes a policy of the mode `dev` that accepts what the stand-ins of these gateways run. */
export async function writeStandInPolicy(file: string, { gateways, change = {} }: PolicyOf): Promise<string> {
  const measurement = STAND_IN_MEASUREMENT.toString('hex');
  const policy = {
    format: 'k3s-daas-tee-policy/1',
    mode: 'dev',
    devRoots: await Promise.all(gateways.map(({ gatewayConfigFile }) => rootOf(gatewayConfigFile))),
    accept: {
      'sev-snp': {
        measurements: [{ name: 'release', measurement, covers: 'application' }],
        minimumTcb: { Milan: { bootloader: 4, tee: 0, snp: 23, microcode: 213 } },
      },
    },
    ...change,
  };
  await writeFile(file, JSON.stringify(policy), { mode: 0o600 });
  return file;
}
