/** A refusal in the API server's words: it becomes a `Status` object. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  constructor(code: number, reason: string, message: string, details?: Readonly<Record<string, unknown>>) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
  toStatus(): Record<string, unknown> {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

export const badRequest = (message: string) => new Refusal(400, 'BadRequest', message);
export const unauthorized = (message = 'Unauthorized') => new Refusal(401, 'Unauthorized', message);
export const forbidden = (message: string) => new Refusal(403, 'Forbidden', message);
export const methodNotAllowed = () =>
  new Refusal(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
export const notFound = (resource: string, name: string) =>
  new Refusal(404, 'NotFound', `${resource} "${name}" not found`, { name, kind: resource });
export const alreadyExists = (resource: string, name: string) =>
  new Refusal(409, 'AlreadyExists', `${resource} "${name}" already exists`, { name, kind: resource });
export const conflict = (resource: string, name: string, why: string) =>
  new Refusal(409, 'Conflict', `Operation cannot be fulfilled on ${resource} "${name}": ${why}`, {
    name,
    kind: resource,
  });
export const invalid = (kind: string, name: string, why: string) =>
  new Refusal(422, 'Invalid', `${kind} "${name}" is invalid: ${why}`, { name, kind });
