import type { Clock } from '#base';
import type { KubernetesPort } from '#domain';

/** Whether the policies see certificates (Kubernetes 1.32), so that one counts only while it is vouched for. */
export interface VouchingSight {
  /** False until the API server has said so. */
  isEnforced(): boolean;
  /** Asks until the signal aborts: a server may be upgraded. */
  run(signal: AbortSignal): Promise<void>;
}

const askEveryMs = 60_000;
const retryMs = 1_000;

export function createVouchingSight(
  kubernetes: Pick<KubernetesPort, 'showsCertificates'>,
  clock: Clock,
): VouchingSight {
  let isEnforced = false;
  return {
    isEnforced: () => isEnforced,
    async run(signal) {
      while (!signal.aborted) {
        let waitMs = askEveryMs;
        try {
          isEnforced = await kubernetes.showsCertificates(signal);
        } catch {
          // What it said last still holds; what it cannot answer is logged where more depends on it.
          waitMs = retryMs;
        }
        await clock.sleep(waitMs, signal).catch(() => undefined);
      }
    },
  };
}
