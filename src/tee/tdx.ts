import { isZero, toHex } from './bytes.ts';
import type { Evidence } from './evidence.ts';
import { type Examination, refuse } from './examination.ts';
import type { TcbInfo } from './intel-collateral.ts';
import { checkStatus, equalsMasked, examineQuote, svnLevel } from './intel-quote.ts';
import type { TdxMeasurement, TdxPolicy } from './policy.ts';
import type { TdReport } from './quote.ts';
import type { Coverage, Findings, Measured } from './verdict.ts';

/** TD attributes (Intel TDX module ABI, "ATTRIBUTES"). Bits 0 to 7 put the TD under debug. */
const UNDER_DEBUG = 0xffn;
const SEPT_VE_DISABLE = 1n << 28n;
const MIGRATABLE = 1n << 29n;
/** PKS, key locker and performance counters: harmless to what the TD keeps secret from its host. */
const KNOWN = UNDER_DEBUG | SEPT_VE_DISABLE | MIGRATABLE | (1n << 30n) | (1n << 31n) | (1n << 63n);

/** Checks a quote of Intel TDX, of version 4 or 5. */
export function examineTdx(evidence: Evidence, policy: TdxPolicy, examination: Examination): Findings {
  const { quote, pck, tcbInfo, statuses, advisories } = examineQuote(
    evidence,
    { tee: 'tdx', ...policy },
    examination,
  );
  if (!('tdx' in quote.body)) return refuse('version-unsupported', 'the quote has no body of TDX');
  const report = quote.body.tdx;
  const module = moduleLevel(report, tcbInfo, examination);
  if (module) checkStatus('TDX module', module.tcbStatus, policy, examination);
  checkAttributes(report, examination);
  examination.expect(!isZero(report.mrTd), 'measurement-zero', 'MRTD is zero');
  const measurements = measurementsOf(report);
  return {
    claims: {
      platform: `Intel TDX, quote version ${quote.version}`,
      measurements,
      reportData: report.reportData,
      tcb: {
        fmspc: pck.fmspc,
        teeTcbSvn: toHex(report.teeTcbSvn),
        ...statuses,
        ...(module && { module: module.tcbStatus }),
      },
      advisories: [...new Set([...advisories, ...(module?.advisoryIDs ?? [])])],
      details: { tdAttributes: `0x${report.tdAttributes.toString(16)}` },
    },
    measured: measuredBy(measurements, policy.measurements),
  };
}

/** The identity of the TDX module by its own version; modules of version 0 are part of the platform's level. */
function moduleLevel(report: TdReport, tcbInfo: TcbInfo, examination: Examination) {
  const [svn = 0, version = 0] = report.teeTcbSvn;
  const id = `TDX_${version.toString(16).padStart(2, '0')}`;
  const identity =
    version === 0
      ? tcbInfo.tdxModule && { ...tcbInfo.tdxModule, tcbLevels: undefined }
      : tcbInfo.tdxModuleIdentities.find((candidate) => candidate.id.toUpperCase() === id.toUpperCase());
  if (!identity) return refuse('module-unknown', `the TCB info has no TDX module ${id}`);
  examination.demand(
    report.mrSignerSeam.equals(Buffer.from(identity.mrsigner, 'hex')) &&
      equalsMasked(report.seamAttributes, identity.attributes, identity.attributesMask),
    'module-unknown',
    `the TDX module ${id} is not Intel’s: signer ${toHex(report.mrSignerSeam)}, attributes ${toHex(report.seamAttributes)}`,
  );
  return identity.tcbLevels && svnLevel(identity.tcbLevels, svn, `TDX module ${id}`);
}

function checkAttributes({ tdAttributes, mrServiceTd }: TdReport, examination: Examination): void {
  const text = `the TD’s attributes are 0x${tdAttributes.toString(16)}`;
  examination.expect((tdAttributes & UNDER_DEBUG) === 0n, 'debug', `${text}: the host may read its memory`);
  examination.expect(
    (tdAttributes & ~KNOWN) === 0n,
    'attributes-not-accepted',
    `${text}: a reserved bit is set`,
  );
  // Without it the host can inject exceptions on memory accesses, which past attacks used.
  examination.expect(
    (tdAttributes & SEPT_VE_DISABLE) !== 0n,
    'attributes-not-accepted',
    `${text}: SEPT_VE_DISABLE is not set`,
  );
  examination.expect(
    (tdAttributes & MIGRATABLE) === 0n && (mrServiceTd === undefined || isZero(mrServiceTd)),
    'migration-allowed',
    `${text}: a migration TD may take it elsewhere`,
  );
}

function measurementsOf({ mrTd, rtmrs }: TdReport): Readonly<Record<string, string>> {
  return {
    mrTd: toHex(mrTd),
    ...Object.fromEntries(rtmrs.map((register, index) => [`rtmr${index}`, toHex(register)])),
  };
}

function measuredBy(
  registers: Readonly<Record<string, string>>,
  measurements: 'any' | readonly TdxMeasurement[],
): Measured | undefined {
  if (measurements === 'any') return { name: 'any', covers: 'platform only' };
  const match = measurements.find((measurement) =>
    Object.entries(measurement).every(
      ([register, value]) => register === 'name' || value === undefined || registers[register] === value,
    ),
  );
  return match && { name: match.name, covers: coverageOf(match) };
}

/** MRTD is the virtual firmware; RTMR1 and RTMR2 kernel, command line and initrd; RTMR3 what the guest adds. */
function coverageOf({ rtmr1, rtmr2, rtmr3 }: TdxMeasurement): Coverage {
  if (rtmr1 === undefined || rtmr2 === undefined) return 'firmware only';
  return rtmr3 === undefined ? 'firmware, kernel, initrd' : 'application';
}
