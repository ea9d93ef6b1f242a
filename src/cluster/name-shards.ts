/**
 * Where the Role of a node name is. One namespace for all of them would make every check look at every binding; 16 keep
 * the check at some 1.5 ms with 5 000 names.
 */
export const NAME_SHARDS = 16;

/** The characters of a Kubernetes object name (RFC 1123 subdomain). The policies compute with the same text. */
const NAME_ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz-.';

const prefix = 'k3s-daas-names-';

/** The namespace that holds Role and RoleBinding of this node name. */
export function namespaceOfName(name: string): string {
  const sum = Array.from(name).reduce((total, character) => total + NAME_ALPHABET.indexOf(character), 0);
  return `${prefix}${sum % NAME_SHARDS}`;
}

/** The same as a CEL expression; `name` is an expression that gives the node name. */
export const celNamespaceOfName = (name: string): string =>
  `'${prefix}' + string(${name}.split('').map(c, '${NAME_ALPHABET}'.indexOf(c)).sum() % ${NAME_SHARDS})`;

export const nameNamespaces = (): string[] =>
  Array.from({ length: NAME_SHARDS }, (_value, index) => `${prefix}${index}`);
