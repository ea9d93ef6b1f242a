import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { derOfPem } from './certificate.ts';
import type { CollateralItem, Evidence } from './evidence.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const directory = process.env.K3S_DAAS_TEST_TEE_VECTORS ?? join(root, '../shared/vectors/tee');

/** Evidence of real machines is not part of this repository: docs/testing.md says where it comes from. */
export const haveVectors = existsSync(join(directory, 'nitro/aws_nitro_root.pem'));

/** Some vectors were found later than the rest: their tests are skipped where they are missing. */
export function haveVector(name: string): boolean {
  return existsSync(join(directory, name));
}

export function vector(name: string): Buffer {
  return readFileSync(join(directory, name));
}

function text(name: string): string {
  return vector(name).toString('utf8').trim();
}

/** A file of bytes, or of their hexadecimal or base64 text. */
function bytesOf(name: string): Buffer {
  if (name.endsWith('.hex')) return Buffer.from(text(name), 'hex');
  return name.endsWith('.b64') ? Buffer.from(text(name), 'base64') : vector(name);
}

export function nitroVector(name: string, kind: 'nitro' | 'nitrotpm' = 'nitro'): Evidence {
  return { kind, bytes: bytesOf(`${kind}/${name}`), collateral: [] };
}

export function snpVector(report: string, ...certificates: readonly string[]): Evidence {
  return { kind: 'sev-snp', bytes: bytesOf(`snp/${report}`), collateral: certificatesOf(certificates) };
}

export function certificatesOf(names: readonly string[]): readonly CollateralItem[] {
  return names
    .flatMap((name) => (name.endsWith('.pem') ? derOfPem(text(`snp/${name}`)) : [vector(`snp/${name}`)]))
    .map((content) => ({ name: 'certificate', content }));
}

/** The key of a certificate among the vectors, as the document that names it has it. */
export function spkiOf(name: string): Buffer {
  return new X509Certificate(vector(name)).publicKey.export({ type: 'spki', format: 'der' });
}

export function quoteVector(name: string, collateral: readonly CollateralItem[]): Evidence {
  return { kind: name.startsWith('sgx/') ? 'sgx' : 'tdx', bytes: bytesOf(name), collateral };
}

/** The nine members of a collateral file of dcap-qvl, as Intel's replies. */
export function qvlCollateral(name: string): readonly CollateralItem[] {
  const all = JSON.parse(text(name)) as Record<string, string>;
  return [
    {
      name: 'tcb-info',
      content: Buffer.from(`{"tcbInfo":${all.tcb_info},"signature":"${all.tcb_info_signature}"}`),
      issuerChain: all.tcb_info_issuer_chain,
    },
    {
      name: 'qe-identity',
      content: Buffer.from(
        `{"enclaveIdentity":${all.qe_identity},"signature":"${all.qe_identity_signature}"}`,
      ),
      issuerChain: all.qe_identity_issuer_chain,
    },
    { name: 'crl', content: Buffer.from(all.root_ca_crl ?? '', 'hex') },
    { name: 'crl', content: Buffer.from(all.pck_crl ?? '', 'hex') },
  ];
}

/** Intel's own files for the quote of an early Sapphire Rapids machine. */
export function sprCollateral(): readonly CollateralItem[] {
  const issuerChain = text('tdx/v4_spr_e4_tcb_signing_chain.pem');
  return [
    { name: 'tcb-info', content: vector('tdx/v4_spr_e4_tcb_info.json'), issuerChain },
    { name: 'qe-identity', content: vector('tdx/v4_spr_e4_qe_identity.json'), issuerChain },
    { name: 'crl', content: vector('tdx/v4_spr_e4_root_crl.der') },
    { name: 'crl', content: vector('tdx/v4_spr_e4_pck_crl.der') },
  ];
}
