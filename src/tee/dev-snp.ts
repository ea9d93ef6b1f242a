import { sign } from 'node:crypto';
import { FIXED_HALVES } from './bytes.ts';
import { type ChainFault, type DevChain, type DevIdentity, devChain, devCrl } from './dev-chain.ts';
import { der, derInteger } from './dev-der.ts';
import type { CollateralItem, Evidence } from './evidence.ts';
import type { Product } from './policy.ts';
import type { SnpSigner } from './snp-report.ts';

export interface DevSnpOptions {
  readonly nowMs: number;
  readonly product?: Product;
  readonly version?: 2 | 3 | 4 | 5;
  /** Default: VCEK. */
  readonly signer?: SnpSigner;
  readonly reportData?: Buffer;
  readonly fault?: ChainFault | undefined;
  readonly root?: DevIdentity | undefined;
  /** Another chip, TCB or product in the VCEK than in the report. */
  readonly certified?: Partial<Certified>;
  readonly collateral?: (
    items: readonly CollateralItem[],
    chain: DevChain,
  ) => Promise<readonly CollateralItem[]>;
  /** Changes the report before it is signed. */
  readonly alter?: (report: Buffer) => void;
}

interface Certified {
  readonly productName: string;
  readonly hardwareId: Buffer;
  /** Of a VLEK. */
  readonly provider: string;
  /** Whose certificate it is, where that is not who signs. */
  readonly signer: SnpSigner;
  /** Which of AMD's two keys signs it, where that is not the one for its kind. */
  readonly issuer: SnpSigner;
  /** fmc, bootloader, tee, snp, microcode */
  readonly tcb: readonly [number, number, number, number, number];
}

export const DEV_SNP_MEASUREMENT = Buffer.alloc(48, 0x5a);
const DEV_SNP_TCB = [1, 4, 0, 23, 213] as const;
export const DEV_VLEK_PROVIDER = 'CN=cloud.dev.example';
const CHIP_ID = Buffer.from(Array.from({ length: 64 }, (_, index) => index + 1));
/** Family and model of each line, as report versions from 3 on have them. */
const FAMILY = { Milan: [0x19, 0x01], Genoa: [0x19, 0x11], Turin: [0x1a, 0x02] } as const;
const ARC = '1.3.6.1.4.1.3704.1';

/** A report of the development PKI, in the form of AMD SEV-SNP, with its collateral. */
export async function devSnp(options: DevSnpOptions): Promise<Evidence & { readonly root: Buffer }> {
  const { nowMs, product = 'Milan', alter } = options;
  const chain = await snpChain(options, product);
  const report = reportOf(options, product);
  alter?.(report);
  const signature = sign('sha384', report.subarray(0, 0x2a0), {
    key: chain.leaf.key,
    dsaEncoding: FIXED_HALVES,
  });
  Buffer.from(signature.subarray(0, 48)).reverse().copy(report, 0x2a0);
  Buffer.from(signature.subarray(48)).reverse().copy(report, 0x2e8);
  const items: CollateralItem[] = [
    ...[chain.leaf, chain.intermediate, chain.root].map(
      ({ certificate }) => ({ name: 'certificate', content: certificate }) as const,
    ),
    { name: 'crl', content: await devCrl({ nowMs, issuer: chain.root }) },
  ];
  const collateral = options.collateral ? await options.collateral(items, chain) : items;
  return { kind: 'sev-snp', bytes: report, collateral, root: chain.root.certificate };
}

function snpChain(options: DevSnpOptions, product: Product): Promise<DevChain> {
  const { nowMs, fault, certified, root, signer = 'VCEK' } = options;
  const isTurin = product === 'Turin';
  const [fmc, bootloader, tee, snp, microcode] = certified?.tcb ?? DEV_SNP_TCB;
  const parts = {
    '3.1': bootloader,
    '3.2': tee,
    '3.3': snp,
    '3.8': microcode,
    ...(isTurin && { '3.9': fmc }),
  };
  const kind = certified?.signer ?? signer;
  const text = certified?.productName ?? (isTurin || kind === 'VLEK' ? product : `${product}-B0`);
  const intermediate = (certified?.issuer ?? kind) === 'VLEK' ? 'dev-SEV-VLEK' : 'dev-SEV';
  return devChain({
    nowMs,
    names: {
      root: `dev-ARK-${product}`,
      intermediate: `${intermediate}-${product}`,
      leaf: `dev-SEV-${kind}`,
    },
    caAlgorithm: 'RSA-PSS',
    leafAlgorithm: 'P-384',
    leafExtensions: [
      { oid: `${ARC}.1`, value: derInteger(isTurin ? 1 : 0) },
      { oid: `${ARC}.2`, value: der(0x16, Buffer.from(text)) },
      ...Object.entries(parts).map(([arc, value]) => ({ oid: `${ARC}.${arc}`, value: derInteger(value) })),
      ...ownerOf(kind, certified, isTurin),
    ],
    fault,
    root,
  });
}

/** A VCEK is of a chip, a VLEK of a provider. */
function ownerOf(kind: SnpSigner, certified: DevSnpOptions['certified'], isTurin: boolean) {
  const hardwareId = certified?.hardwareId ?? CHIP_ID.subarray(0, isTurin ? 8 : 64);
  const provider = Buffer.from(certified?.provider ?? DEV_VLEK_PROVIDER);
  const hasChip = kind === 'VCEK' || certified?.hardwareId !== undefined;
  const hasProvider = kind === 'VLEK' || certified?.provider !== undefined;
  return [
    ...(hasChip ? [{ oid: `${ARC}.4`, value: hardwareId }] : []),
    ...(hasProvider ? [{ oid: `${ARC}.5`, value: der(0x16, provider) }] : []),
  ];
}

function reportOf({ version = 3, reportData, signer }: DevSnpOptions, product: Product): Buffer {
  const report = Buffer.alloc(0x4a0);
  report.writeUInt32LE(version, 0);
  report.writeBigUInt64LE(0x3_0000n, 0x08);
  report.writeUInt32LE(1, 0x34);
  const tcb = tcbBytes(product);
  for (const at of [0x38, 0x180, 0x1e0, 0x1f0]) tcb.copy(report, at);
  reportData?.copy(report, 0x50);
  DEV_SNP_MEASUREMENT.copy(report, 0x90);
  if (version > 2) Buffer.from(FAMILY[product]).copy(report, 0x188);
  // Hosts that load a VLEK mask the chip id.
  if (signer === 'VLEK') report.writeUInt32LE(1 << 2, 0x48);
  else CHIP_ID.copy(report, 0x1a0, 0, product === 'Turin' ? 8 : 64);
  return report;
}

function tcbBytes(product: Product): Buffer {
  const [fmc, bootloader, tee, snp, microcode] = DEV_SNP_TCB;
  return product === 'Turin'
    ? Buffer.of(fmc, bootloader, tee, snp, 0, 0, 0, microcode)
    : Buffer.of(bootloader, tee, 0, 0, 0, 0, snp, microcode);
}
