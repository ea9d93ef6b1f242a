import type { Certificate } from './certificate.ts';
import { children, DER, type Der, member, oidOf, readDer, smallInteger } from './der.ts';
import { refuse } from './examination.ts';

/** Intel's extension of a PCK certificate, and its members (Intel SGX PCK certificate specification, 1.3.5). */
const SGX = '1.2.840.113741.1.13.1';
const [TCB, PCE_ID, FMSPC] = [`${SGX}.2`, `${SGX}.3`, `${SGX}.4`];

/** What Intel certifies of a platform. */
export interface Pck {
  /** Family, model, stepping, platform, custom SKU: which TCB info is the platform's. Hexadecimal, lower case. */
  readonly fmspc: string;
  readonly pceId: string;
  readonly components: readonly number[];
  readonly pceSvn: number;
}

/** @throws Refusal `certificate-mismatch` */
export function readPck({ extensions, name }: Certificate): Pck {
  const extension = extensions.get(SGX);
  if (!extension) return refuse('certificate-mismatch', `'${name}' is no PCK: it lacks the extension ${SGX}`);
  const fields = fieldsOf(readDer(extension.value));
  const tcb = fieldsOf(required(fields, TCB, name));
  const numberAt = (index: number): number => smallInteger(required(tcb, `${TCB}.${index}`, name));
  return {
    fmspc: octets(required(fields, FMSPC, name), 6, name),
    pceId: octets(required(fields, PCE_ID, name), 2, name),
    components: Array.from({ length: 16 }, (_, index) => numberAt(index + 1)),
    pceSvn: numberAt(17),
  };
}

function fieldsOf(sequence: Der): ReadonlyMap<string, Der> {
  const fields = new Map<string, Der>();
  for (const pair of children(sequence)) {
    const parts = children(pair);
    const value = parts[1];
    if (value) fields.set(oidOf(member(parts, 0, DER.oid)), value);
  }
  return fields;
}

function required(fields: ReadonlyMap<string, Der>, oid: string, name: string): Der {
  return fields.get(oid) ?? refuse('certificate-mismatch', `'${name}' lacks the field ${oid}`);
}

function octets({ tag, value }: Der, length: number, name: string): string {
  if (tag !== DER.octetString || value.length !== length)
    refuse('certificate-mismatch', `'${name}' has a field that is not ${length} bytes`);
  return value.toString('hex');
}
