import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { unitFiles, unitsPage, withUnits } from './unit-files.ts';

/** Writes the units into deploy/ and into the page that shows them. */
const root = join(import.meta.dirname, '..');
for (const [path, text] of Object.entries(unitFiles)) {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, path.includes('openrc') ? 0o755 : 0o644);
}
const page = join(root, unitsPage);
writeFileSync(page, withUnits(readFileSync(page, 'utf8')));
