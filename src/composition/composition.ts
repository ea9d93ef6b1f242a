import 'reflect-metadata';
import { type DependencyContainer, instanceCachingFactory, container as root } from 'tsyringe';
import type { Token } from '#plugin';

/** Makes a part. It takes the parts that it is made of from `parts`, by their tokens. */
export type Factory<T> = (parts: Composition) => T | Promise<T>;

/**
 * The parts of one program: a factory under each token. A composition root registers a factory for every part; a test or an
 * embedder replaces one by registering another under the same token before the part is needed. Each part is made once, when
 * it is first needed.
 *
 * This file alone knows tsyringe. Two of its functions are not used: child containers, which can reach everything that
 * their parents hold, and `dispose()`, which disposes in order of construction and stops at the first failure. What a part
 * opens it defers on the `Lifetime` of the program.
 */
export class Composition {
  readonly #container: DependencyContainer = root.createChildContainer();

  /** The last registration under a token counts. */
  register<T>(token: Token<T>, make: Factory<T>): this {
    this.#container.register(token.key, { useFactory: instanceCachingFactory(() => make(this)) });
    return this;
  }

  has(token: Token<unknown>): boolean {
    return this.#container.isRegistered(token.key);
  }

  /** A part whose factory is synchronous. Throws for any other: use `open`. */
  get<T>(token: Token<T>): T {
    const part = this.#resolve(token);
    if (part instanceof Promise)
      throw new Error(`the part '${token.name}' is made asynchronously: open it instead`);
    return part;
  }

  /** Any part. Rejects with the error of its factory. */
  async open<T>(token: Token<T>): Promise<T> {
    return this.#resolve(token);
  }

  #resolve<T>(token: Token<T>): T | Promise<T> {
    if (!this.has(token)) throw new Error(`no part is registered under the token '${token.name}'`);
    return this.#container.resolve<T | Promise<T>>(token.key);
  }
}
