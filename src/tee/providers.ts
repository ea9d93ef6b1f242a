import { nitroTpmProvider } from './provide-nitrotpm.ts';
import { nitroProvider, programProvider } from './provide-program.ts';
import { tpmProvider } from './provide-tpm.ts';
import { tsmProvider } from './provide-tsm.ts';
import { type EvidenceProvider, missing, type ProviderName } from './provider.ts';

export interface ProviderOptions {
  /** For `nitro` and `program`: absolute path. */
  readonly program?: string | undefined;
  readonly kind?: string | undefined;
  readonly format?: string | undefined;
  readonly attestationKey?: string | undefined;
  readonly pcrs?: readonly number[] | undefined;
  readonly tcti?: string | undefined;
  /** For `dev`: where its root is kept. */
  readonly devDirectory?: string | undefined;
  /** For the certificates of the stand-in. */
  readonly nowMs: number;
}

/** Every way to evidence of this machine, none of them asked yet. */
export function evidenceProviders(
  options: ProviderOptions,
): Readonly<Record<ProviderName, EvidenceProvider>> {
  const { program, kind, format, attestationKey, pcrs, tcti } = options;
  return {
    tsm: tsmProvider(),
    nitrotpm: nitroTpmProvider(),
    nitro: nitroProvider(program),
    tpm: tpmProvider({ attestationKey, tcti, ...(pcrs && { pcrs }) }),
    program: programProvider({ program, kind, format }),
    dev: standIn(options),
  };
}

/** The development PKI is read when it is asked for: no other provider needs it. */
function standIn({ kind = 'sev-snp', nowMs, devDirectory: directory }: ProviderOptions): EvidenceProvider {
  const load = async (): Promise<EvidenceProvider> => {
    if (kind !== 'sev-snp' && kind !== 'tdx')
      throw missing('the stand-in', `it has no evidence of the kind ${kind}: use sev-snp or tdx`);
    const { devProvider } = await import('./provide-dev.ts');
    return devProvider({ kind, nowMs, directory });
  };
  return {
    name: 'dev',
    find: async () => (await load()).find(),
    provide: async (reportData, signal) => (await load()).provide(reportData, signal),
  };
}
