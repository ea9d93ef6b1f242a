/** `resource:verb` (`cluster::is_permission`). */
export function isPermission(text: string): boolean {
  return text.length <= 64 && /^(?:\*|[a-z0-9./-]+):(?:\*|[a-z0-9./-]+)$/.test(text);
}
