import { inspect } from 'node:util';

const hidden = '[secret]';

/**
 * A value that must not be seen: it prints as `[secret]` as a string, in JSON, in `console.log` and in logs.
 * `reveal()` is the one way out, so that every use can be found by searching for that word.
 */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return hidden;
  }
  toJSON(): string {
    return hidden;
  }
  [Symbol.toPrimitive](): string {
    return hidden;
  }
  [inspect.custom](): string {
    return hidden;
  }
}
