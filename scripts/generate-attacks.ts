import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attacksPage, testFiles } from './attack-tests.ts';

/** Writes docs/attacks.md. */
const root = join(import.meta.dirname, '..');
writeFileSync(join(root, 'docs/attacks.md'), attacksPage(testFiles(root)));
