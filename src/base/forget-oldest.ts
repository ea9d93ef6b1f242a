/** Deletes the entries that were put in first until `most` are left. To count as new, an entry is deleted and put in again. */
export function forgetOldest<K>(entries: Map<K, unknown> | Set<K>, most: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= most) return;
    entries.delete(oldest);
  }
}
