import type { ServerResponse } from 'node:http';
import type { ApiCall } from './api-call.ts';
import { type LineStream, startLines } from './http.ts';
import { matcherOf } from './object-reads.ts';
import { apiVersionOf, type KubeObject } from './objects.ts';
import type { Target } from './request-target.ts';
import type { Matches } from './selectors.ts';
import { Refusal } from './status.ts';
import type { StoreEvent } from './store.ts';

const bookmarkEveryMs = 60_000;

/** Answers with what changes from the wanted version on, until the client goes or the time of the watch is over. */
export function watch(call: ApiCall, response: ServerResponse): void {
  const { store, target, query } = call;
  const { resource, namespace, name } = target;
  const matches = matcherOf(resource, name, query);
  const from = query.get('resourceVersion') ?? '';
  const isFromNow = from === '' || from === '0';
  const backlog = isFromNow ? undefined : store.eventsAfter(Number(from));
  const lines = startLines(response);
  if (!isFromNow && backlog === undefined) {
    const gone = new Refusal(410, 'Expired', `too old resource version: ${from} (${store.revision})`);
    send(lines, 'ERROR', gone.toStatus());
    lines.end();
    return;
  }
  const pass = (event: StoreEvent) => passEvent(lines, target, matches, event);
  if (backlog) backlog.forEach(pass);
  else for (const object of store.list(resource, namespace).filter(matches)) send(lines, 'ADDED', object);
  lines.onEnd(store.subscribe(pass));
  endInTime(lines, query);
  if (query.get('allowWatchBookmarks') === 'true') sendBookmarks(lines, call);
}

const send = (lines: LineStream, type: string, object: unknown) => lines.write({ type, object });

function passEvent(
  lines: LineStream,
  { resource, namespace }: Target,
  matches: Matches,
  event: StoreEvent,
): void {
  if (event.resource !== resource.plural) return;
  if (namespace && event.object.metadata.namespace !== namespace) return;
  const type = typeFor(event, matches);
  if (type) send(lines, type, type === 'DELETED' ? deletedForm(event) : event.object);
}

function endInTime(lines: LineStream, query: URLSearchParams): void {
  const lifeMs = Math.min(Number(query.get('timeoutSeconds') ?? 1_800), 3_600) * 1_000;
  const end = setTimeout(() => lines.end(), lifeMs);
  lines.onEnd(() => clearTimeout(end));
}

/** Bookmarks give a quiet watch a version to start again from. */
function sendBookmarks(lines: LineStream, { store, target: { resource } }: ApiCall): void {
  const bookmark = () =>
    send(lines, 'BOOKMARK', {
      kind: resource.kind,
      apiVersion: apiVersionOf(resource),
      metadata: { resourceVersion: String(store.revision), creationTimestamp: null },
    });
  const bookmarks = setInterval(bookmark, bookmarkEveryMs);
  lines.onEnd(() => clearInterval(bookmarks));
}

/** What a watcher with a selector sees of a change: an object may come into its sight, or go out of it. */
function typeFor({ type, object, before }: StoreEvent, matches: Matches): StoreEvent['type'] | undefined {
  const [isSeen, wasSeen] = [matches(object), before !== undefined && matches(before)];
  if (type === 'DELETED') return wasSeen ? 'DELETED' : undefined;
  if (isSeen) return wasSeen ? 'MODIFIED' : 'ADDED';
  return wasSeen ? 'DELETED' : undefined;
}

const deletedForm = ({ object, before }: StoreEvent): KubeObject => ({
  ...(before ?? object),
  metadata: { ...(before ?? object).metadata, resourceVersion: object.metadata.resourceVersion ?? '' },
});
