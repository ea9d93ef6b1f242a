/** Changes of the parts of a request: bytes, JSON, the three parts of a proof. */
interface Draw {
  readonly random: () => number;
  below(bound: number): number;
  pick<T>(list: readonly T[]): T;
  chance(share: number): boolean;
}

/** Texts at which readers break. */
export const oddities: readonly string[] = [
  '',
  ' ',
  '\u0000',
  '\r\n',
  '-1',
  '0',
  '1e999',
  '9007199254740993',
  'null',
  'undefined',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '\u202e',
  '\ufeff',
  '💥',
  'ü'.repeat(64),
  'A'.repeat(43),
  'A'.repeat(44),
  'x'.repeat(70),
  'x'.repeat(5_000),
  `0x${'f'.repeat(64)}`,
  `0x${'f'.repeat(65)}`,
  '$1:00:15:8:1:00',
  'seal_..',
  '%s%n%x',
  '{{7*7}}',
  "' OR 1=1 --",
];

const oddValues: readonly unknown[] = [
  null,
  true,
  0,
  -0,
  -1,
  1.5,
  2 ** 53,
  Number.MAX_VALUE,
  '',
  [],
  {},
  [[[]]],
  { node_id: {} },
  'x'.repeat(70_000),
  ['a', 1, null],
  ...oddities,
];

/** Text that stands for a JSON value where `JSON.stringify` would not write it. */
const oddTexts: readonly string[] = [
  'NaN',
  '1e999',
  '-',
  '01',
  '.5',
  '"\ud800"',
  '"\\u0000"',
  '"unended',
  '{"__proto__":{"node_id":"a"}}',
  '{"a":1,"a":2}',
  `${'['.repeat(5_000)}${']'.repeat(5_000)}`,
  '{"a":'.repeat(3_000),
  '1'.repeat(2_000),
  '/* no */ 1',
  "'single'",
];

export function bytesOf(draw: Draw, bytes: Buffer): Buffer {
  const at = draw.below(bytes.length + 1);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (draw.below(7)) {
    case 0: {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << draw.below(8));
      return copy;
    }
    case 1:
      return before;
    case 2:
      return Buffer.concat([before, after.subarray(1 + draw.below(64))]);
    case 3:
      return Buffer.concat([
        before,
        Buffer.from(draw.pick(['\u0000', '\r', '\n', '\r\n', ':', '\u007f', ' ', '\t'])),
        after,
      ]);
    case 4:
      return Buffer.concat([before, after.subarray(0, draw.below(200)), after]);
    case 5:
      return Buffer.concat([before, Buffer.alloc(draw.pick([1, 100, 9_000]), draw.below(256)), after]);
    default:
      return Buffer.concat([before, Buffer.from([0xff, 0xfe, 0xc0, 0x80]), after]);
  }
}

/** The text of a JSON value of which one thing was changed. */
export function jsonChanged(draw: Draw, value: object): string {
  const text = JSON.stringify(value);
  const [members, change] = [Object.entries(value), draw.below(8)];
  const at = draw.below(members.length);
  const [name = '', old] = members[at] ?? [];
  switch (change) {
    case 0:
      return JSON.stringify(Object.fromEntries(members.filter((_member, index) => index !== at)));
    case 1:
      return JSON.stringify({
        ...value,
        [draw.pick(['extra', '__proto__', 'toString', ''])]: draw.pick(oddValues),
      });
    case 2:
    case 3:
      return JSON.stringify({ ...value, [name]: draw.pick(oddValues) });
    case 4:
      return text.replace(
        `${JSON.stringify(name)}:`,
        `${JSON.stringify(name)}:${draw.pick(oddTexts)},"was":`,
      );
    case 5:
      return draw.pick([
        JSON.stringify([value]),
        'null',
        '[]',
        '""',
        '0',
        '',
        ' ',
        `\ufeff${text}`,
        `${text}${text}`,
        ...oddTexts,
      ]);
    case 6: {
      if (typeof old !== 'object' || old === null) return `${text} `;
      return JSON.stringify({
        ...value,
        [name]: Array.isArray(old) ? [draw.pick(oddValues)] : JSON.parse(jsonChanged(calm(draw), old)),
      });
    }
    default:
      return bytesOf(draw, Buffer.from(text)).toString('latin1');
  }
}

/** Changes that leave it JSON. */
const calm = (draw: Draw): Draw => ({
  ...draw,
  below: (bound) => (bound === 8 ? draw.below(4) : draw.below(bound)),
});

const headerChanges: readonly object[] = [
  { alg: 'none' },
  { alg: 'HS256' },
  { alg: ['EdDSA'] },
  { typ: 'JWT' },
  { kid: '' },
  { kid: 'x'.repeat(3_000) },
  { kid: null },
  { crit: ['exp'] },
  { b64: false, crit: ['b64'] },
  { jwk: { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' } },
  { jwk: { kty: 'oct', k: 'AAAA' } },
  { jku: 'https://evil.example' },
  { zip: 'DEF' },
];

/** `seal_<header>.<claims>.<signature>`, one part of which is another. */
export function proofChanged(draw: Draw, proof: string): string {
  const [header = '', claims = '', signature = ''] = proof.slice('seal_'.length).split('.');
  const build = (...parts: string[]) => `seal_${parts.join('.')}`;
  const opened = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString()) as object;
  const sealed = (text: string) => Buffer.from(text, 'latin1').toString('base64url');
  switch (draw.below(10)) {
    case 0:
      return build(
        sealed(JSON.stringify({ ...opened(header), ...draw.pick(headerChanges) })),
        claims,
        signature,
      );
    case 1:
      return build(sealed(jsonChanged(draw, opened(header))), claims, signature);
    case 2:
    case 3:
      return build(header, sealed(jsonChanged(draw, opened(claims))), signature);
    case 4:
      return build(header, claims, signature.slice(0, draw.below(signature.length)));
    case 5:
      return build(header, claims, `${signature}${draw.pick(['=', '==', 'A', '.', '+', '/', '%3D'])}`);
    case 6:
      return build(signature, header, claims);
    case 7:
      return draw.pick([
        proof.slice(5),
        `SEAL_${proof.slice(5)}`,
        build('', '', ''),
        build(header, claims),
        `${proof}.${proof}`,
        'seal_',
        draw.pick(oddities),
      ]);
    case 8:
      return build(sealed('{"alg":"EdDSA"'), claims, signature);
    default:
      return bytesOf(draw, Buffer.from(proof))
        .toString('latin1')
        .replaceAll(/[\r\n]/g, '?');
  }
}
