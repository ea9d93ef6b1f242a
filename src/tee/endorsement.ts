import type { Certificate } from './certificate.ts';
import { DER, readDer, smallInteger } from './der.ts';
import { refuse } from './examination.ts';
import { PRODUCTS, type Product } from './policy.ts';
import type { SnpSigner, SnpTcb } from './snp-report.ts';

/**
 * AMD's arc, and the extensions below it (AMD 57230, "VCEK certificate extensions"; AMD 58369, "VLEK certificate definition").
 * A VCEK has the hardware id, a VLEK the provider in its place.
 */
const ARC = '1.3.6.1.4.1.3704.1';
const OID = {
  structureVersion: `${ARC}.1`,
  product: `${ARC}.2`,
  bootloader: `${ARC}.3.1`,
  tee: `${ARC}.3.2`,
  snp: `${ARC}.3.3`,
  microcode: `${ARC}.3.8`,
  fmc: `${ARC}.3.9`,
  hardwareId: `${ARC}.4`,
  provider: `${ARC}.5`,
} as const;

/** What AMD certifies of the key that signs reports: a chip's own (VCEK), or one that a cloud provider loads (VLEK). */
export interface Endorsement {
  readonly signer: SnpSigner;
  readonly product: Product;
  /** Of a VCEK: 64 bytes; 8 from Turin on. */
  readonly hardwareId: Buffer | undefined;
  /** Of a VLEK: the provider whose chips have it (CSP_ID), such as `CN=cc-us-east-2.amazonaws.com`. */
  readonly provider: string | undefined;
  readonly tcb: SnpTcb;
}

export function endorses(signer: SnpSigner, { extensions }: Certificate): boolean {
  return extensions.has(signer === 'VCEK' ? OID.hardwareId : OID.provider);
}

/** @throws Refusal `certificate-mismatch` */
export function readEndorsement(signer: SnpSigner, { extensions, name }: Certificate): Endorsement {
  const part = (oid: string): number => {
    const value = extensions.get(oid)?.value;
    const number = value && smallInteger(readDer(value));
    if (number === undefined || number > 255)
      return refuse('certificate-mismatch', `'${name}' lacks the extension ${oid}`);
    return number;
  };
  const hardwareId = extensions.get(OID.hardwareId)?.value;
  const provider = textOf(extensions.get(OID.provider)?.value);
  if (signer === 'VCEK' ? provider !== undefined : hardwareId !== undefined || !provider)
    refuse('certificate-mismatch', `'${name}' is not the certificate of a ${signer}`);
  const product = productOf(extensions.get(OID.product)?.value, name);
  return {
    signer,
    product,
    // The value is the id itself, without the octet string that other extensions have.
    hardwareId,
    provider,
    tcb: {
      fmc: product === 'Turin' ? part(OID.fmc) : 0,
      bootloader: part(OID.bootloader),
      tee: part(OID.tee),
      snp: part(OID.snp),
      microcode: part(OID.microcode),
    },
  };
}

/** `Milan-B0` of a VCEK: the stepping follows the product line; `Milan` of a VLEK. */
function productOf(value: Buffer | undefined, name: string): Product {
  const text = textOf(value) ?? '';
  const product = PRODUCTS.find((line) => text === line || text.startsWith(`${line}-`));
  return product ?? refuse('product-not-accepted', `'${name}' names the product '${text}'`);
}

/** `undefined`: there is none; empty: it is no text. */
function textOf(value: Buffer | undefined): string | undefined {
  const element = value && readDer(value);
  if (!element) return undefined;
  const isText = element.tag === DER.ia5String || element.tag === DER.utf8String;
  return isText ? element.value.toString('latin1') : '';
}
