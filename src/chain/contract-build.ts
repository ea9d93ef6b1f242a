import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bcs } from '@mysten/sui/bcs';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { z } from 'zod';
import { ConfigurationError, carriedFile, DaasError, isSingleExecutable } from '#base';
import type { Endpoint } from './endpoints/index.ts';

/** The compiled contracts, as `contracts/build/k3s_daas.json` has them (other members of the file are not used). */
export const ContractBuild = z.object({
  /** Bytecode in base64, by module. */
  modules: z.record(z.string(), z.base64()),
  dependencies: z.array(z.string()),
});
export type ContractBuild = z.infer<typeof ContractBuild>;

/** Reads a build file; without a path the one that came with this program. */
export async function readContractBuild(path?: string): Promise<ContractBuild> {
  const own = 'contracts/build/k3s_daas.json';
  const isCarried = path === undefined && isSingleExecutable;
  const file = path ?? join(await packageRoot(), own);
  try {
    const text = isCarried ? carriedFile(own) : await readFile(file, 'utf8');
    return ContractBuild.parse(JSON.parse(text));
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_CONTRACT_BUILD_UNREADABLE',
      `the compiled contracts ${file} cannot be read: run \`npm run contracts:build\``,
      { cause, details: { file } },
    );
  }
}

/** Where this program's package.json is, whether it runs from `src` or from `dist`. */
export async function packageRoot(): Promise<string> {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (directory !== dirname(directory)) {
    const isRoot = await readFile(join(directory, 'package.json'), 'utf8').then(
      (text) => (JSON.parse(text) as { name?: unknown }).name === 'k3s-daas',
      () => false,
    );
    if (isRoot) break;
    directory = dirname(directory);
  }
  return directory;
}

/**
 * Holds the modules of a package on chain against a build; throws `DAAS_BYTECODE_DIFFERS`. Publishing writes the package
 * id in place of the address 0x0, so both are compared with that undone.
 */
export async function verifyBytecode(
  endpoint: Endpoint,
  packageId: string,
  build: ContractBuild,
  signal?: AbortSignal,
): Promise<void> {
  const modules = await endpoint.call(
    `package ${packageId}`,
    async (client, ended) => {
      const { object } = await client.core.getObject({
        objectId: packageId,
        include: { objectBcs: true },
        signal: ended,
      });
      const { data } = bcs.Object.parse(object.objectBcs);
      return data.$kind === 'Package' ? data.Package.moduleMap : undefined;
    },
    signal,
  );
  const names = Object.keys(build.modules).sort();
  const published = modules && new Map(Object.entries(modulesOf(modules)));
  const differing: string[] = [];
  for (const name of new Set([...names, ...(published?.keys() ?? [])])) {
    const [ours, theirs] = [build.modules[name], published?.get(name)];
    const isSame =
      ours !== undefined &&
      theirs !== undefined &&
      (await canonical(Buffer.from(ours, 'base64'), packageId)) === (await canonical(theirs, packageId));
    if (!isSame) differing.push(name);
  }
  if (differing.length > 0)
    throw new DaasError(
      'DAAS_BYTECODE_DIFFERS',
      `the package ${packageId} on ${endpoint.url} is not this build: ${differing.join(', ')} differ; do not use it, and publish again`,
      { details: { packageId, url: endpoint.url, modules: differing } },
    );
}

function modulesOf(map: unknown): Record<string, Uint8Array> {
  const entries = map instanceof Map ? [...map] : Object.entries(map as Record<string, unknown>);
  return Object.fromEntries(
    entries.map(([name, bytes]) => [name, Uint8Array.from(bytes as Iterable<number>)]),
  );
}

/** A module as text, with its own address as zero. */
async function canonical(bytecode: Uint8Array, packageId: string): Promise<string> {
  // WASM of half a megabyte that only publishing needs.
  const { deserialize } = await import('@mysten/move-bytecode-template');
  const module = deserialize(bytecode) as { address_identifiers: string[] };
  const own = normalizeSuiAddress(packageId).slice(2);
  const zero = '0'.repeat(64);
  const addresses = module.address_identifiers.map((address) => (address === own ? zero : address));
  return JSON.stringify({ ...module, address_identifiers: addresses }, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}
