import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type ParsedNode,
  parseAllDocuments,
  Scalar,
} from 'yaml';

/** One key of a YAML file with its values as the texts that k3s makes of them. Several entries may have the same key. */
export interface YamlEntry {
  readonly key: string;
  readonly values: readonly string[];
  readonly isList: boolean;
  /** Nothing stands after the key: k3s takes an empty text, but appends nothing when the key ends in `+`. */
  readonly isNull: boolean;
}

/**
 * Reads a mapping as k3s does, which uses gopkg.in/yaml.v2: YAML 1.1 with exceptions. Equal keys are all kept, merge keys
 * (`<<`) are dropped, and only the first document counts. Throws when k3s would, and for values that are mappings.
 */
export function parseK3sYaml(text: string): YamlEntry[] {
  const document = parseAllDocuments(text.replace(/^\uFEFF/, ''), {
    version: '1.1',
    // Every scalar stays a text: the rules that make a value of it are yaml.v2's own, below.
    schema: 'failsafe',
    uniqueKeys: false,
    // A pretty message quotes the lines around the error, and one of them may hold a token.
    prettyErrors: false,
  })[0] as Document.Parsed | undefined;
  if (document?.errors[0]) throw document.errors[0];
  const root = document?.contents;
  if (!document || !root || (isScalar(root) && scalarValue(root) === null)) return [];
  if (!isMap(root)) throw new Error('it is not a mapping of flags to values');
  return root.items.flatMap(({ key, value }) => {
    if (isMerge(key)) {
      refuseBadMerge(value, document);
      return [];
    }
    return [{ key: textOf(key, document), ...valuesOf(value, document) }];
  });
}

type Node = ParsedNode | null;

function valuesOf(node: Node, document: Document.Parsed): Omit<YamlEntry, 'key'> {
  const value = resolved(node, document);
  if (isSeq(value))
    return {
      values: value.items.map((item) => textOf(item as Node, document)),
      isList: true,
      isNull: false,
    };
  return {
    values: [textOf(value, document)],
    isList: false,
    isNull: value === null || (isScalar(value) && scalarValue(value) === null),
  };
}

/** A list inside a list counts by its first element. */
function textOf(node: Node, document: Document.Parsed): string {
  const value = resolved(node, document);
  if (value === null) return '';
  if (isSeq(value)) return value.items[0] === undefined ? '' : textOf(value.items[0] as Node, document);
  if (!isScalar(value)) throw new Error('a key or a value is a mapping, which no flag of k3s can take');
  return goText(scalarValue(value)).trim();
}

function resolved(node: Node, document: Document.Parsed): Node {
  if (!isAlias(node)) return node;
  const target = node.resolve(document) as Node | undefined;
  if (target === undefined) throw new Error('an alias has no anchor before it');
  return target;
}

function isMerge(key: Node): boolean {
  return isScalar(key) && key.type === Scalar.PLAIN && key.value === '<<';
}

function refuseBadMerge(node: Node, document: Document.Parsed): void {
  const merged = resolved(node, document);
  const parts = isSeq(merged) ? merged.items.map((item) => resolved(item as Node, document)) : [merged];
  if (!parts.every((part) => isMap(part)))
    throw new Error('a merge key (<<) needs a mapping or a list of mappings');
}

type Value = string | boolean | bigint | number | null;

function scalarValue(scalar: Scalar): Value {
  const text = typeof scalar.value === 'string' ? scalar.value : '';
  const tag = scalar.tag;
  if (tag === '!' || tag === 'tag:yaml.org,2002:str') return text;
  if (tag !== undefined && !/^tag:yaml\.org,2002:(?:bool|int|float|null)$/.test(tag))
    throw new Error("a tag that is none of YAML's own stands before a value");
  return scalar.type === Scalar.PLAIN || tag !== undefined ? plainValue(text) : text;
}

const words: ReadonlyMap<string, Value> = new Map<string, Value>([
  ...['y', 'Y', ...cases('yes'), ...cases('true'), ...cases('on')].map((word) => [word, true] as const),
  ...['n', 'N', ...cases('no'), ...cases('false'), ...cases('off')].map((word) => [word, false] as const),
  ...['', '~', ...cases('null')].map((word) => [word, null] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['', '+'].flatMap((sign) =>
    ['inf', 'Inf', 'INF'].map((word) => [`${sign}.${word}`, Number.POSITIVE_INFINITY] as const),
  ),
  ...['inf', 'Inf', 'INF'].map((word) => [`-.${word}`, Number.NEGATIVE_INFINITY] as const),
]);

function cases(word: string): string[] {
  return [word, `${word[0]?.toUpperCase()}${word.slice(1)}`, word.toUpperCase()];
}

/** What a text without quotes means. No base 60, no dates: these stay texts. */
function plainValue(text: string): Value {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (/^\.[0-9]+(?:[eE][-+]?[0-9]+)?$/.test(text)) return Number(text);
  if (!/^[-+0-9]/.test(text)) return text;
  const plain = text.replaceAll('_', '');
  const integer = parseGoInteger(plain);
  if (integer !== undefined && integer >= -(2n ** 63n) && integer < 2n ** 64n) return integer;
  return /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(plain) ? Number(plain) : text;
}

/** Go's strconv.ParseInt with base 0: `0x`, `0o`, `0b`, and a leading zero for octal. */
export function parseGoInteger(text: string): bigint | undefined {
  const match =
    /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))$/.exec(text) ?? undefined;
  if (!match) return undefined;
  const [, sign, hexadecimal, binary, octal, decimal] = match;
  const magnitude = BigInt(
    hexadecimal !== undefined
      ? `0x${hexadecimal}`
      : binary !== undefined
        ? `0b${binary}`
        : octal !== undefined
          ? `0o${octal}`
          : (decimal ?? '0'),
  );
  return sign === '-' ? -magnitude : magnitude;
}

/** As Go's fmt.Sprint writes it. */
function goText(value: Value): string {
  if (value === null) return '';
  if (typeof value !== 'number') return String(value);
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const [digits = '0', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 6)
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  return Object.is(value, -0) ? '-0' : String(value);
}
