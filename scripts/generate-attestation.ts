import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attestationPage } from './attestation-page.ts';

/** Writes the tables of checks into docs/attestation.md. */
const file = join(import.meta.dirname, '..', 'docs/attestation.md');
writeFileSync(file, attestationPage(readFileSync(file, 'utf8')));
