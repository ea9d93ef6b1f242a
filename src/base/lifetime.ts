/**
 * A stack of releases. Code that opens a resource defers its release on the next line. Releases run last in, first out, each
 * one even when another fails; the failures are thrown together at the end.
 */
export class Lifetime implements AsyncDisposable {
  #releases: Array<{ readonly what: string; readonly undo: () => unknown }> = [];
  #closing: Promise<void> | undefined;

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  defer(what: string, undo: () => unknown): void {
    if (this.#closing) throw new Error(`cannot defer '${what}': this lifetime is closed`);
    this.#releases.push({ what, undo });
  }

  /** Takes over something that disposes of itself, and returns it. */
  use<T extends AsyncDisposable | Disposable>(what: string, resource: T): T {
    this.defer(what, () =>
      Symbol.asyncDispose in resource
        ? resource[Symbol.asyncDispose]()
        : (resource as Disposable)[Symbol.dispose](),
    );
    return resource;
  }

  close(): Promise<void> {
    this.#closing ??= this.#run();
    return this.#closing;
  }

  async #run(): Promise<void> {
    const failures: unknown[] = [];
    for (const { what, undo } of this.#releases.reverse()) {
      try {
        await undo();
      } catch (cause) {
        failures.push(new Error(`releasing '${what}' failed`, { cause }));
      }
    }
    this.#releases = [];
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} of the releases failed`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
