import type { KeyPair } from '../standin/server/authority.ts';
import type { WorldOptions } from './world-parts.ts';

/** A Kubernetes API to try: the stand-in, or a real control plane. */
export interface KubernetesWorld extends AsyncDisposable {
  readonly url: string;
  /** PEM of the CA that signed the server's certificate. */
  readonly ca: string;
  readonly adminKubeconfigPath: string;
  /** A client certificate of the cluster's client CA. */
  clientCertificate(username: string, groups?: readonly string[]): Promise<KeyPair>;
  /** Where k3s' supervisor answers, and the same API beside it. */
  readonly supervisorUrl: string;
  /** How long this world's controllers may take to collect, to taint, to notice: as slow as they really are. */
  readonly patienceMs: number;
}

/**
 * What the suites (`*.suite.ts`) of a vitest project run against. A suite describes one behaviour; each project gives it
 * another world: the stand-ins, a real control plane, a real k3s server.
 */
export interface SuiteWorld {
  /** Ends the names of the suites; of a world that may be missing it names the variable that gives it. */
  readonly name: string;
  /** The suites are skipped. */
  readonly isMissing: boolean;
  startKubernetes(): Promise<KubernetesWorld>;
  /** The cluster and agents of a whole `World`. */
  readonly k3s: Pick<WorldOptions, 'startK3s'>;
}
