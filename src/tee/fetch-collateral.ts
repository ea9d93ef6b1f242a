import { DaasError, EXIT } from '#base';
import { asBuffer, isZero, toHex } from './bytes.ts';
import { readCertificate, readCertificates } from './certificate.ts';
import { endorses } from './endorsement.ts';
import { type CollateralItem, collateralNamed, type Evidence } from './evidence.ts';
import { Examination, Refusal, refuse } from './examination.ts';
import { readPck } from './pck.ts';
import { PRODUCTS, type Product } from './policy.ts';
import { readQuote } from './quote.ts';
import { readSnpReport, type SnpTcb } from './snp-report.ts';
import { CHAIN_HEADERS, certificatesIn, chainIn, get, itemOf, type RequestOptions } from './vendor-reply.ts';

/** Where collateral is fetched: the vendors' services, or mirrors of them. */
export interface CollateralServices {
  readonly amd: string;
  readonly intel: string;
  readonly intelRootCrl: string;
}

/** AMD 57230; Intel PCS API v4. */
export const VENDOR_SERVICES: CollateralServices = {
  amd: 'https://kdsintf.amd.com',
  intel: 'https://api.trustedservices.intel.com',
  intelRootCrl: 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der',
};

export interface FetchOptions extends RequestOptions {
  readonly services: CollateralServices;
  /** The product line, for a report of version 2, which does not name it; default Milan. */
  readonly product?: Product | undefined;
}

/**
 * Fetches what the vendor publishes about the machine of this evidence. Nothing fetched is believed: `verify` checks it each
 * time. For commands and tasks in the background, never for a request that somebody waits for.
 * @returns nothing for kinds that have no collateral, and for Nitro, whose documents bring their chain
 * @throws DaasError `DAAS_TEE_COLLATERAL_UNREACHABLE`; `DAAS_TEE_EVIDENCE_REFUSED` for evidence that cannot be read
 */
export async function fetchCollateral(
  evidence: Evidence,
  options: FetchOptions,
): Promise<readonly CollateralItem[]> {
  const { kind } = evidence;
  if (kind === 'sev-snp') return fetchAmd(evidence, options);
  return kind === 'tdx' || kind === 'sgx' ? fetchIntel(evidence, kind, options) : [];
}

async function fetchAmd(evidence: Evidence, options: FetchOptions): Promise<readonly CollateralItem[]> {
  const { report, vlek } = readable(() => reportWithVlek(evidence, options));
  const product = report.product ?? options.product ?? PRODUCTS[0];
  const base = `${options.services.amd}/${report.signer.toLowerCase()}/v1/${product}`;
  const leaf =
    vlek ??
    itemOf(
      'certificate',
      await get(vcekUrl(base, report.chipId, report.tcb(product).reported, product), options),
    );
  const chain = await get(`${base}/cert_chain`, options);
  const crl = await get(`${base}/crl`, options);
  return [
    leaf,
    ...certificatesIn(chain, () => chain.body.toString('latin1')).map((body) =>
      itemOf('certificate', { ...chain, body }),
    ),
    itemOf('crl', crl),
  ];
}

/** AMD hands a VLEK to its provider alone, and the host hands it to the guest: it comes with the evidence or not at all. */
function reportWithVlek({ bytes, collateral }: Evidence, { nowMs }: FetchOptions) {
  const report = readSnpReport(Buffer.from(bytes), new Examination(nowMs, []));
  if (report.signer === 'VCEK') return { report, vlek: undefined };
  const vlek = collateralNamed(collateral, 'certificate').find(({ content }) =>
    endorses('VLEK', readCertificate(asBuffer(content))),
  );
  if (!vlek)
    refuse(
      'certificate-missing',
      'the host hands out the VLEK beside the report; make the evidence with `k3s-daas tee evidence`, which keeps it',
    );
  return { report, vlek };
}

function vcekUrl(base: string, chipId: Buffer, tcb: SnpTcb, product: Product): string {
  // Turin's service knows a chip by the eight bytes that are set.
  const id = product === 'Turin' && isZero(chipId.subarray(8)) ? chipId.subarray(0, 8) : chipId;
  const fmc = product === 'Turin' ? `fmcSPL=${tcb.fmc}&` : '';
  const levels = `blSPL=${tcb.bootloader}&teeSPL=${tcb.tee}&snpSPL=${tcb.snp}&ucodeSPL=${tcb.microcode}`;
  return `${base}/${toHex(id)}?${fmc}${levels}`;
}

async function fetchIntel(
  { bytes }: Evidence,
  tee: 'sgx' | 'tdx',
  options: FetchOptions,
): Promise<readonly CollateralItem[]> {
  const { fmspc, ca } = readable(() => platformOf(Buffer.from(bytes), tee, options));
  const { intel, intelRootCrl } = options.services;
  const tcbInfo = await get(`${intel}/${tee}/certification/v4/tcb?fmspc=${fmspc}`, options);
  const identity = await get(`${intel}/${tee}/certification/v4/qe/identity`, options);
  const pckCrl = await get(`${intel}/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`, options);
  const rootCrl = await get(intelRootCrl, options);
  return [
    { ...itemOf('tcb-info', tcbInfo), issuerChain: chainIn(tcbInfo, CHAIN_HEADERS['tcb-info']) },
    {
      ...itemOf('qe-identity', identity),
      issuerChain: chainIn(identity, CHAIN_HEADERS['qe-identity']),
    },
    itemOf('crl', pckCrl),
    itemOf('crl', rootCrl),
  ];
}

/** Which platform a quote is of, and which CA of Intel’s issued its certificate. */
function platformOf(bytes: Buffer, tee: 'sgx' | 'tdx', { nowMs }: FetchOptions) {
  const { pckChain } = readQuote(bytes, tee, new Examination(nowMs, []));
  const [leaf, issuer] = readCertificates(pckChain);
  if (!leaf || !issuer) return refuse('chain-invalid', 'the PCK chain of the quote lacks a certificate');
  const ca = issuer.name.includes('Processor') ? 'processor' : 'platform';
  return { fmspc: readPck(leaf).fmspc, ca };
}

/** Evidence that cannot be read names no machine to ask for. */
function readable<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause;
    throw new DaasError(
      'DAAS_TEE_EVIDENCE_REFUSED',
      `the evidence does not show what to fetch: ${cause.check}, ${cause.message}`,
      {
        cause,
        exitCode: EXIT.unexpected,
        details: { reasons: [{ check: cause.check, message: cause.message }] },
      },
    );
  }
}
