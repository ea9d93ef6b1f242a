import { accessSync, constants } from 'node:fs';
import { messageOf } from '#base';
import { type Docker, importBase } from '../../scripts/images/images.ts';
import type { RealK3sProgram } from './k3s-server.ts';

export type FoundImage =
  | { readonly kind: 'found'; readonly image: string }
  | { readonly kind: 'missing'; readonly reason: string };

export type FoundK3s =
  | { readonly kind: 'found'; readonly program: RealK3sProgram }
  | { readonly kind: 'missing'; readonly reason: string };

const K3S_IMAGE = 'rancher/k3s:v1.36.3-k3s1';

/** `K3S_BIN`, or else an image of k3s: `K3S_DAAS_TEST_K3S_IMAGE`, or that of the version that was tested last. */
export function findK3s(engine: Docker): FoundK3s {
  const path = process.env.K3S_BIN;
  if (path) {
    accessSync(path, constants.X_OK);
    return { kind: 'found', program: { kind: 'binary', path, base: importBase(engine) } };
  }
  const found = findImage(engine, process.env.K3S_DAAS_TEST_K3S_IMAGE || K3S_IMAGE);
  if (found.kind === 'found') return { kind: 'found', program: { kind: 'image', image: found.image } };
  return { kind: 'missing', reason: `K3S_BIN is not set, and ${found.reason}` };
}

/** An image of Sui's tools: `K3S_DAAS_TEST_SUI_IMAGE`, or that of mainnet's version. */
export const findSui = (engine: Docker): FoundImage =>
  findImage(engine, process.env.K3S_DAAS_TEST_SUI_IMAGE || 'mysten/sui-tools:mainnet');

/** An image that the engine has or can pull. */
function findImage({ run }: Docker, image: string): FoundImage {
  if (run('images', '--quiet', image).trim() !== '') return { kind: 'found', image };
  try {
    run('pull', '--quiet', image);
    return { kind: 'found', image };
  } catch (error) {
    const why = (messageOf(error).trim().split('\n').at(-1) ?? '').replace(/^.*daemon: /, '');
    return { kind: 'missing', reason: `${image} cannot be pulled (${why.slice(0, 120)})` };
  }
}
