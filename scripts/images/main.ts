import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root, version } from '../release/artefact.ts';
import { buildImages, docker } from './images.ts';

/**
 * `npm run images`: builds the images of gateway and dev chain with the engine of `DOCKER_HOST`, and prints their sizes. The base is the
 * bare Debian root of `npm run release`, or `--base IMAGE@sha256:…`.
 */
const { values } = parseArgs({
  options: { base: { type: 'string' }, tag: { type: 'string', default: version } },
});
const engine = docker();
const [dist, devnetDist] = [join(root, 'dist'), join(root, 'devnet', 'dist')];
const names = buildImages({ engine, dist, devnetDist, tag: values.tag, base: values.base });
for (const image of Object.values(names)) {
  const bytes = Number(engine.run('image', 'inspect', '--format', '{{.Size}}', image));
  process.stdout.write(`${image.padEnd(32)}  ${(bytes / 1e6).toFixed(0)} MB\n`);
}
