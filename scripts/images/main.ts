import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { root, version } from '../release/artefact.ts';
import { ARCHITECTURES, type Architecture } from '../release/node-packages.ts';
import { makeGatewayImage } from './gateway-image.ts';
import { buildImages, docker } from './images.ts';

/**
 * `npm run images`: builds the images of gateway and dev chain with the engine of `DOCKER_HOST`, and prints their sizes. The base is the
 * bare Debian root of `npm run release`, or `--base IMAGE@sha256:…`.
 *
 * `npm run images -- --oci DIRECTORY`: the gateway's image for each architecture (or `--architecture x64`) as a file that is the same bytes for
 * the same sources, without an engine, and its digest.
 */
const { values } = parseArgs({
  options: {
    base: { type: 'string' },
    tag: { type: 'string', default: version },
    oci: { type: 'string' },
    architecture: { type: 'string', default: ARCHITECTURES.join(',') },
    dist: { type: 'string', default: join(root, 'dist') },
  },
});
if (values.oci === undefined) buildAll();
else for (const architecture of values.architecture.split(',')) makeOci(values.oci, architecture);

function buildAll(): void {
  const engine = docker();
  const devnetDist = join(root, 'devnet', 'dist');
  const names = buildImages({ engine, dist: values.dist, devnetDist, tag: values.tag, base: values.base });
  for (const image of Object.values(names)) {
    const bytes = Number(engine.run('image', 'inspect', '--format', '{{.Size}}', image));
    process.stdout.write(`${image.padEnd(32)}  ${(bytes / 1e6).toFixed(0)} MB\n`);
  }
}

function makeOci(directory: string, architecture: string): void {
  const known = ARCHITECTURES.find((one) => one === architecture) as Architecture | undefined;
  if (known === undefined)
    throw new Error(`--architecture ${architecture}: known are ${ARCHITECTURES.join(', ')}`);
  const { file, digest } = makeGatewayImage(directory, { dist: values.dist, architecture: known });
  process.stdout.write(`${basename(file).padEnd(36)}  ${digest}\n`);
}
