import { findPackageJSON } from 'node:module';
import { ConfigurationError, isSingleExecutable } from '#base';
import { packageVersion } from './package-version.ts';
import { type Loaded, rowOf } from './settings.ts';

const PACKAGE = '@k3s-daas/devnet';
const PROBE_TIMEOUT_MS = 1_000;

/** The dev chain is a package of its own, and optional: production machines need not have it. */
export async function loadDevnet(): Promise<typeof import('@k3s-daas/devnet')> {
  if (!isInstalled()) throw missing(`the dev chain is not installed`);
  return import('@k3s-daas/devnet');
}

/**
 * In mock mode: the error that names how to get a dev chain, if none answers and none is installed; otherwise `undefined`. A dev
 * chain that answers is enough, wherever it was started from.
 */
export async function missingDevnet(settings: Loaded): Promise<ConfigurationError | undefined> {
  const { mockMode, chain } = settings.value;
  if (!mockMode || isInstalled()) return undefined;
  const answers = await Promise.all(chain.endpoints.map(isAnswered));
  if (answers.includes(true)) return undefined;
  const { origin } = rowOf(settings, 'mockMode');
  return missing(
    `mock mode (${origin}) needs a dev chain: none answers at ${chain.endpoints.join(', ')}, and none is installed`,
  );
}

function isInstalled(): boolean {
  try {
    return findPackageJSON(PACKAGE, import.meta.url) !== undefined;
  } catch {
    return false;
  }
}

async function isAnswered(endpoint: string): Promise<boolean> {
  try {
    await fetch(endpoint, { method: 'HEAD', signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    return true;
  } catch {
    return false;
  }
}

function missing(sentence: string): ConfigurationError {
  const version = packageVersion();
  const details = { package: PACKAGE, version };
  if (isSingleExecutable)
    return new ConfigurationError(
      'DAAS_DEVNET_MISSING',
      `${sentence}. The single executable loads no dev chain: run \`npx ${PACKAGE}@${version}\`, or install k3s-daas with npm`,
      { details },
    );
  return new ConfigurationError(
    'DAAS_DEVNET_MISSING',
    `${sentence}. Install ${PACKAGE} ${version} beside k3s-daas (npm install --global ${PACKAGE}@${version}), then run \`k3s-daas devnet\``,
    { details },
  );
}
