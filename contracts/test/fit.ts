// Framework sources newer than the compiler's test VM: it refuses every test for a native function that it does not know,
// also of a module that no test names.
import { type Files, type Framework, runTests } from './move.ts';

/** More modules with unknown natives than a year of Sui releases brings. */
const MOST_MODULES = 20;

/** Names nothing, so that only the framework itself can make it fail. */
const PROBE: Files = {
  'Move.toml': '[package]\nname = "probe"\nedition = "2024"\n\n[addresses]\nprobe = "0x0"\n',
  'sources/probe.move': 'module probe::probe;\n\n#[test]\nfun runs() {}\n',
};

export interface Fitted {
  readonly framework: Framework;
  /** `sui::rangeproofs`: its natives abort instead. */
  readonly stubbed: readonly string[];
}

/**
 * Gives the native functions of each module that the VM refuses a body that aborts, until a test runs. None of that gets
 * into our bytecode; a test that came to such a function would fail.
 */
export async function fitToVm(framework: Framework): Promise<Fitted> {
  const stubbed: string[] = [];
  let fitted = framework;
  for (;;) {
    const { passed, output, failure = output } = await runTests(PROBE, fitted);
    if (passed) return { framework: fitted, stubbed };
    const refused = /UNEXPECTED_VERIFIER_ERROR[^\n]*? in the module (\w+::\w+)/.exec(failure)?.[1];
    if (refused === undefined || stubbed.includes(refused) || stubbed.length === MOST_MODULES)
      throw new Error(
        `no test runs on ${framework.name}: take the sources of another release of Sui\n${failure}`,
      );
    stubbed.push(refused);
    const rewrite = (files: Files) => withoutNatives(files, refused);
    fitted = { ...fitted, stdlib: rewrite(fitted.stdlib), sui: rewrite(fitted.sui) };
  }
}

function withoutNatives(files: Files, module: string): Files {
  const isIt = (text: string) => new RegExp(`^module\\s+${module}\\b`, 'm').test(text);
  const stub = (text: string) => text.replaceAll(/\bnative (fun [^;]+);/g, '$1 { abort 0 }');
  return Object.fromEntries(
    Object.entries(files).map(([path, text]) => [path, isIt(text) ? stub(text) : text]),
  );
}
