import type { CheckId } from './checks.ts';
import type { RegistrationCheck } from './judge-gateway.ts';
import type { WorkerCheck } from './judge-worker.ts';

/** What to do about evidence that is refused. */
export interface EvidenceAdvice {
  /** Who can do it: those who run the machine that shows the evidence, or those who wrote the policy that refuses it. */
  readonly by: 'machine' | 'policy';
  readonly what: string;
  readonly command?: string | undefined;
}

type Check = CheckId | RegistrationCheck | WorkerCheck;

const machine = (what: string, command?: string): EvidenceAdvice => ({ by: 'machine', what, command });
const policy = (what: string, command?: string): EvidenceAdvice => ({ by: 'policy', what, command });

const MAKE_ANEW = machine('make the evidence anew and look at it', 'k3s-daas tee evidence');
const FOREIGN_FORM = machine(
  'the evidence is not of the form of its platform: see what makes it (attestation.evidence), and look at it',
  'k3s-daas tee evidence',
);
const FORGED = machine(
  'the evidence was altered, or another key signed it: make it anew on the machine itself',
  'k3s-daas tee evidence',
);
const COLLATERAL = policy(
  'fetch the vendor’s documents for this machine, and name the file (collateralFile) at the gateway or at the machine',
  'k3s-daas tee collateral fetch',
);
const STALE = policy('refresh the vendor’s documents, and their files', 'k3s-daas tee collateral refresh');
const CLOCKS = machine('set the clocks of both machines by NTP (timedatectl), and make the evidence anew');
const FIRMWARE = machine(
  'update firmware and microcode of the machine (in a cloud: start it anew on another host); or the policy accepts older ones',
);
const GUEST = machine('start the guest without debugging and migration');
const NAME_IT = policy(
  'compute the measurement from the image and compare; when it is the right one, name it in the policy',
  'k3s-daas tee policy',
);
const PROGRAM = policy(
  'see the program that the policy names for this format: run it by hand on the evidence',
);

/** For each reason that a verdict can name. */
const ADVICE: Readonly<Record<Check, EvidenceAdvice>> = {
  'kind-not-accepted': policy(
    'accept this kind of evidence (accept.KIND), or another provider makes one that is',
  ),
  'evidence-size': FOREIGN_FORM,
  'cbor-malformed': FOREIGN_FORM,
  'cbor-duplicate-key': FOREIGN_FORM,
  'cose-malformed': FOREIGN_FORM,
  'trailing-bytes': FOREIGN_FORM,
  'field-invalid': FOREIGN_FORM,
  'quote-malformed': FOREIGN_FORM,
  'report-malformed': FOREIGN_FORM,
  'version-unsupported': policy(
    'update K3s-DaaS: it does not know this version of the platform’s evidence yet',
  ),
  'signer-unsupported': policy(
    'this key is not accepted: for a VLEK name the cloud provider in the policy (vlekProviders)',
  ),
  'provider-not-accepted': policy('name this cloud provider in the policy (vlekProviders), if it is yours'),
  'certificate-missing': COLLATERAL,
  'certificate-malformed': COLLATERAL,
  'root-foreign': machine(
    'the evidence is of a stand-in or of another vendor’s hardware: name a provider of real hardware',
  ),
  'chain-invalid': COLLATERAL,
  'certificate-constraints': COLLATERAL,
  'certificate-not-yet-valid': CLOCKS,
  'certificate-expired': MAKE_ANEW,
  'crl-missing': COLLATERAL,
  'crl-invalid': COLLATERAL,
  'crl-expired': STALE,
  'certificate-revoked': machine('the vendor has revoked the key of this machine: use another one'),
  'certificate-mismatch': COLLATERAL,
  'collateral-missing': COLLATERAL,
  'collateral-malformed': COLLATERAL,
  'collateral-signature-invalid': COLLATERAL,
  'collateral-not-yet-valid': CLOCKS,
  'collateral-expired': STALE,
  'collateral-too-old': STALE,
  'collateral-mismatch': COLLATERAL,
  'signature-invalid': FORGED,
  'key-unbound': FORGED,
  'qe-signature-invalid': FORGED,
  'qe-mismatch': FORGED,
  'pcr-digest-mismatch': FORGED,
  'evidence-from-the-future': CLOCKS,
  'evidence-too-old': CLOCKS,
  debug: GUEST,
  'migration-allowed': GUEST,
  'attributes-not-accepted': GUEST,
  'measurement-zero': machine(
    'nothing was measured: boot with measured boot on (for a TPM: UEFI), without debugging',
  ),
  'measurement-unknown': NAME_IT,
  'measurement-not-registered': policy(
    'compare with the measurement of the release; when it is the right one, register it on chain',
    'k3s-daas cluster gateway add',
  ),
  'coverage-too-small': policy(
    'name a measurement that covers more (kernel, initrd, application), or lower minimumCoverage',
  ),
  'report-data-mismatch': machine(
    'the evidence was made for something else: see that the provider binds it to the report data it is given',
  ),
  'report-data-missing': machine('see that the provider puts the report data into the evidence'),
  'product-not-accepted': policy('name this product line in the policy (minimumTcb)'),
  'chip-id-masked': machine('have the host show the chip id, or sign by a VLEK that the policy accepts'),
  'tcb-mismatch': COLLATERAL,
  'tcb-order': FIRMWARE,
  'tcb-outdated': FIRMWARE,
  'tcb-no-level': FIRMWARE,
  'tcb-status': FIRMWARE,
  'module-unknown': FIRMWARE,
  'vmpl-not-accepted': policy(
    'accept this privilege level (maxVmpl): a cloud’s paravisor runs above the guest',
  ),
  'key-attributes': machine('make the attestation key by tpm2_createak, as docs/attestation.md shows'),
  'attestation-key-unknown': policy(
    'compare the name of the key with the staker’s, and name it (attestationKeys)',
  ),
  'clock-unsafe': machine('shut the machine down in order once, so that its TPM knows the time again'),
  'command-missing': policy('name a program for this format (accept.command.programs)'),
  'command-failed': PROGRAM,
  'command-answer-invalid': PROGRAM,
  'command-refused': PROGRAM,
  'attestation-key-changed': policy(
    'ask the staker whether the main board was changed; when it was, end the binding to the old TPM',
    'k3s-daas gateway release',
  ),
  'not-registered': policy('register the gateway with its kind of evidence', 'k3s-daas cluster gateway add'),
  'kind-not-registered': policy(
    'register the gateway with this kind of evidence',
    'k3s-daas cluster gateway add',
  ),
  'tier-not-covered': policy('a premium gateway shows its application: measure it, or register a lower tier'),
};

/** What to do about these reasons, each advice once, in their order. A reason that is not known here has none. */
export function evidenceAdvice(checks: readonly string[]): readonly EvidenceAdvice[] {
  const known: Readonly<Record<string, EvidenceAdvice | undefined>> = ADVICE;
  return [...new Set(checks.map((check) => known[check]))].filter((advice) => advice !== undefined);
}
