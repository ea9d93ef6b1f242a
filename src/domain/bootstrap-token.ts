import { randomInt } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** A token in kubeadm's form: six characters that are public, sixteen that are secret. */
export interface BootstrapToken {
  readonly id: string;
  readonly secret: string;
}

/**
 * Draws a token. k3s sends only `[a-z0-9]{6}.[a-z0-9]{16}` as Bearer; anything else goes out as a Basic password.
 * `randomInt` draws each character without bias: a byte modulo 36 would favour the first four.
 */
export function drawBootstrapToken(): BootstrapToken {
  const draw = (length: number) =>
    Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
  return { id: draw(6), secret: draw(16) };
}
