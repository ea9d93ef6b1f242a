/** `{ 'example.com/zone': 'a' }` → `['--node-label=example.com/zone=a']`, in a stable order. */
export function labelArguments(labels) {
  return Object.entries(labels)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `--node-label=${name}=${value}`);
}
