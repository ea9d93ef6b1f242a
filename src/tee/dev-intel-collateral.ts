/** JSON that a test may change at any place. */
// biome-ignore lint/suspicious/noExplicitAny: each test changes another place of a deep document.
export type Json = Record<string, any>;

const HOUR_MS = 3_600_000;
const seconds = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
const components = (svn: number) => Array.from({ length: 16 }, () => ({ svn }));
const dates = (nowMs: number) => ({
  issueDate: seconds(nowMs - HOUR_MS),
  nextUpdate: seconds(nowMs + 2 * HOUR_MS),
});

/** TCB info with one level that the development platform reaches, and one below it. */
export function devTcbInfo(id: 'SGX' | 'TDX', nowMs: number, fmspc: string): Json {
  const level = (svn: number, tcbStatus: string, advisoryIDs: readonly string[]) => ({
    tcb: {
      sgxtcbcomponents: components(svn),
      pcesvn: 13,
      ...(id === 'TDX' && { tdxtcbcomponents: [...components(0)] }),
    },
    tcbDate: seconds(nowMs - HOUR_MS),
    tcbStatus,
    advisoryIDs,
  });
  return {
    id,
    version: 3,
    ...dates(nowMs),
    // Intel writes it in either case.
    fmspc: fmspc.toUpperCase(),
    pceId: '0000',
    tcbType: 0,
    tcbEvaluationDataNumber: 18,
    ...(id === 'TDX' && {
      tdxModule: moduleIdentity(),
      tdxModuleIdentities: [
        { id: 'TDX_01', ...moduleIdentity(), tcbLevels: [{ tcb: { isvsvn: 4 }, tcbStatus: 'UpToDate' }] },
      ],
    }),
    tcbLevels: [level(5, 'UpToDate', []), level(3, 'OutOfDate', ['INTEL-SA-00001'])],
  };
}

function moduleIdentity() {
  return { mrsigner: '00'.repeat(48), attributes: '00'.repeat(8), attributesMask: 'ff'.repeat(8) };
}

/** The identity of the development quoting enclave. */
export function devQeIdentity(tee: 'SGX' | 'TDX', nowMs: number): Json {
  return {
    id: tee === 'SGX' ? 'QE' : 'TD_QE',
    version: 2,
    ...dates(nowMs),
    tcbEvaluationDataNumber: 18,
    miscselect: '00000000',
    miscselectMask: 'ffffffff',
    attributes: `01${'00'.repeat(15)}`,
    attributesMask: `fb${'ff'.repeat(7)}${'00'.repeat(8)}`,
    mrsigner: '61'.repeat(32),
    isvprodid: 1,
    tcbLevels: [
      { tcb: { isvsvn: 8 }, tcbStatus: 'UpToDate' },
      { tcb: { isvsvn: 1 }, tcbStatus: 'OutOfDate' },
    ],
  };
}
