import { expect, test } from 'vitest';
import { fitToVm } from './fit.ts';
import { type Framework, ownFramework } from './move.ts';

const own = ownFramework();
// The compiler is 20 MB of WebAssembly.
const timeoutMs = 120_000;
const withModule = (name: string, text: string): Framework => ({
  ...own,
  sui: { ...own.sui, [`sources/${name}.move`]: `module sui::${name};\n\n${text}` },
});

test(
  'framework sources with natives that the test VM does not know are fitted to it, whatever names them',
  async () => {
    const newest = withModule(
      'rangeproofs',
      'public fun verify(a: &vector<u8>): bool { check(a) }\nnative fun check(a: &vector<u8>): bool;\npublic native fun other<T: drop>(\n  a: T,\n  b: u64,\n): u64;\n',
    );
    const { stubbed, framework } = await fitToVm(newest);
    expect(stubbed).toEqual(['sui::rangeproofs']);
    expect(framework.sui['sources/object.move']).toBe(own.sui['sources/object.move']);
  },
  timeoutMs,
);

test(
  'framework sources that fit are left as they are',
  async () => {
    expect(await fitToVm(own)).toEqual({ framework: own, stubbed: [] });
  },
  timeoutMs,
);

test(
  'framework sources that do not compile say so, and whose they are',
  async () => {
    await expect(fitToVm(withModule('broken', 'public fun f(): u64 { true }\n'))).rejects.toThrow(
      /no test runs on the own minimal framework[\s\S]*broken/,
    );
  },
  timeoutMs,
);
