import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manPage } from '../src/cli/man-page.ts';
import { roots } from './command-lines.ts';

/** `node scripts/generate-man-page.ts [FILE]`: writes the manual page, by default into the built program. */
const root = join(import.meta.dirname, '..');
const [file = join(root, 'dist', 'k3s-daas.1')] = process.argv.slice(2);
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
writeFileSync(file, manPage(version, roots));
