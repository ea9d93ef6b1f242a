import { type KubeObject, textAt } from './objects.ts';
import { badRequest } from './status.ts';

export type Matches = (object: KubeObject) => boolean;

/** A label selector: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, joined by commas. */
export function labelMatcher(selector: string | null): Matches {
  if (!selector) return () => true;
  const tests = selector.split(/,(?![^(]*\))/).map((part) => labelTest(part.trim()));
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

function labelTest(text: string): (labels: Readonly<Record<string, string>>) => boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(text);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    return (labels) => values.includes(labels[key] ?? '\0') === (operator === 'in');
  }
  const equality = /^([^=!\s]+)\s*(==|=|!=)\s*([^=!\s]*)$/.exec(text);
  if (equality) {
    const [, key = '', operator, value] = equality;
    return (labels) => (labels[key] === value) === (operator !== '!=');
  }
  if (/^!?[^=!\s(]+$/.test(text)) return (labels) => text.replace('!', '') in labels !== text.startsWith('!');
  throw badRequest(`unable to parse requirement: found '${text}'`);
}

/** Fields that can be selected by, beside `metadata.name` and `metadata.namespace`. */
const selectable: Readonly<Record<string, readonly string[]>> = {
  pods: ['spec.nodeName', 'status.phase', 'spec.restartPolicy', 'spec.serviceAccountName'],
  nodes: ['spec.unschedulable'],
  secrets: ['type'],
  events: ['involvedObject.name', 'involvedObject.kind', 'reason', 'type'],
};

/** A field selector, `path=value` or `path!=value`, joined by commas. */
export function fieldMatcher(plural: string, selector: string | null): Matches {
  if (!selector) return () => true;
  const tests = selector.split(',').map((part): Matches => {
    const [, path = '', operator, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim()) ?? [];
    const known = ['metadata.name', 'metadata.namespace', ...(selectable[plural] ?? [])];
    if (!known.includes(path)) throw badRequest(`field label not supported: ${path}`);
    return (object) => (textAt(object, path) === value) === (operator !== '!=');
  });
  return (object) => tests.every((test) => test(object));
}

/** The value that a field selector pins a field to, if it does. */
export function pinnedField(selector: string | null, path: string): string | undefined {
  return selector
    ?.split(',')
    .map((part) => /^([^=!]+)==?(.*)$/.exec(part.trim()))
    .find((match) => match?.[1] === path)?.[2];
}
