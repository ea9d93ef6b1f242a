import { devTsm } from './dev-tsm.ts';
import { tsmProvider } from './provide-tsm.ts';
import type { EvidenceProvider } from './provider.ts';
import { openStandInRoot } from './stand-in-root.ts';

export interface DevProviderOptions {
  readonly kind: 'sev-snp' | 'tdx';
  readonly nowMs: number;
  /** Where the root is kept; without one, each request has a root of its own. */
  readonly directory?: string | undefined;
}

/** The stand-in: the way of a real guest, in front of a development PKI, with what the vendor would publish. */
export function devProvider({ kind, nowMs, directory }: DevProviderOptions): EvidenceProvider {
  return {
    name: 'dev',
    find: async () => ({
      isHere: true,
      what: `a stand-in of ${kind}: its root counts in no production policy`,
    }),
    async provide(reportData, signal) {
      const authority =
        directory === undefined ? undefined : await openStandInRoot({ kind, directory, nowMs });
      const folder = devTsm({ kind, nowMs, authority });
      const { evidence } = await tsmProvider(folder).provide(reportData, signal);
      const root = folder.root();
      return { evidence: { ...evidence, collateral: folder.collateral() }, ...(root && { devRoot: root }) };
    },
  };
}
