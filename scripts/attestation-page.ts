import { checkTablesText } from '../src/tee/checks.ts';

const BEGIN = '<!-- checks: begin -->';
const END = '<!-- checks: end -->';

/** docs/attestation.md with the tables of checks as src/tee/checks.ts gives them. */
export function attestationPage(text: string): string {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`docs/attestation.md lacks ${BEGIN} and ${END}`);
  return `${before}${BEGIN}\n\n${checkTablesText()}\n\n${END}${after}`;
}
