import type { Certificate } from './certificate.ts';
import { DER, readDer, smallInteger } from './der.ts';
import { refuse } from './examination.ts';
import { PRODUCTS, type Product } from './policy.ts';
import type { SnpTcb } from './snp-report.ts';

/** AMD's arc, and the extensions of a VCEK below it (AMD 57230, "VCEK certificate extensions"). */
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
} as const;

/** What AMD certifies of a chip and its firmware. */
export interface Vcek {
  readonly product: Product;
  /** 64 bytes; 8 from Turin on. */
  readonly hardwareId: Buffer;
  readonly tcb: SnpTcb;
}

export function isVcek({ extensions }: Certificate): boolean {
  return extensions.has(OID.hardwareId);
}

/** @throws Refusal `certificate-mismatch` */
export function readVcek({ extensions, name }: Certificate): Vcek {
  const part = (oid: string): number => {
    const value = extensions.get(oid)?.value;
    const number = value && smallInteger(readDer(value));
    if (number === undefined || number > 255)
      return refuse('certificate-mismatch', `'${name}' lacks the extension ${oid}`);
    return number;
  };
  const product = productOf(extensions.get(OID.product)?.value, name);
  return {
    product,
    // The value is the id itself, without the octet string that other extensions have.
    hardwareId: extensions.get(OID.hardwareId)?.value ?? Buffer.alloc(0),
    tcb: {
      fmc: product === 'Turin' ? part(OID.fmc) : 0,
      bootloader: part(OID.bootloader),
      tee: part(OID.tee),
      snp: part(OID.snp),
      microcode: part(OID.microcode),
    },
  };
}

/** `Milan-B0`: the stepping follows the product line. */
function productOf(value: Buffer | undefined, name: string): Product {
  const element = value && readDer(value);
  const isText = element?.tag === DER.ia5String || element?.tag === DER.utf8String;
  const text = isText ? element.value.toString('latin1') : '';
  const product = PRODUCTS.find((line) => text === line || text.startsWith(`${line}-`));
  return product ?? refuse('product-not-accepted', `'${name}' names the product '${text}'`);
}
