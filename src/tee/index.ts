export { type EvidenceAdvice, evidenceAdvice } from './advice.ts';
export { type CollateralDescription, describeCollateral } from './describe-collateral.ts';
export type { CollateralItem, Evidence } from './evidence.ts';
export { formatCollateral, formatEvidence, parseCollateral, parseEvidence } from './evidence-file.ts';
export { timeText } from './examination.ts';
export { type CollateralServices, fetchCollateral, VENDOR_SERVICES } from './fetch-collateral.ts';
export { type GatewayVerdict, judgeGateway, type RegisteredGateway } from './judge-gateway.ts';
export { judgeWorker } from './judge-worker.ts';
export { look } from './look.ts';
export { type Policy, PRODUCTS, type Product, parsePolicy } from './policy.ts';
export {
  type EvidenceProvider,
  type Found,
  PROVIDERS,
  type Provided,
  type ProviderName,
} from './provider.ts';
export { evidenceProviders, type ProviderOptions } from './providers.ts';
export { type Refreshed, refreshCollateral } from './refresh-collateral.ts';
export { registeredMeasurement } from './registered-measurement.ts';
export { reportDataOf, workerReportDataOf } from './report-data.ts';
export { runCommand } from './run-command.ts';
export { suggestPolicy } from './suggest-policy.ts';
export { type TpmSealerOptions, tpmSealer } from './tpm-sealer.ts';
export type { Verdict } from './verdict.ts';
export { verify } from './verify.ts';
