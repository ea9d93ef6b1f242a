/**
 * Whether node_modules holds what the lockfile names, by npm's own record of it (node_modules/.package-lock.json), which it
 * writes when it has put everything in place. Packages for other machines are not there, and those are optional. Plain
 * JavaScript, as its caller.
 */
export function isInstalled(lock, record) {
  if (!lock || !record) return false;
  const { '': _root, ...wanted } = lock.packages;
  const found = record.packages ?? {};
  const isSame = (path) =>
    found[path]?.version === wanted[path]?.version && found[path]?.integrity === wanted[path]?.integrity;
  return (
    Object.keys(found).every(isSame) &&
    Object.keys(wanted).every((path) => path in found || wanted[path].optional || wanted[path].devOptional)
  );
}
