import { z } from 'zod';
import { httpsOriginProblem } from '#base';

const file = z.string().min(1);

/** Where the gateway's state is kept; docs/operations.md explains several gateways. */
export const StateConfig = z
  .strictObject({
    engine: z.enum(['sqlite', 'etcd', 'kubernetes']).default('sqlite').meta({
      description:
        'sqlite: a file in stateDir; etcd, or Secrets of the cluster itself (kubernetes): shared by the gateways of a cluster, of which one leads',
    }),
    keys: z
      .strictObject({
        file: file.optional().meta({
          description:
            'values are sealed with the first of the keys in this file (0600), `<id> <32 bytes in base64url>` a line; unset, with no command or credential: sqlite values are not sealed',
        }),
        command: z
          .array(z.string())
          .min(1)
          .optional()
          .meta({ description: 'an absolute path and arguments: a program that prints such lines' }),
        credential: z
          .string()
          .regex(/^[\w.-]+$/)
          .optional()
          .meta({
            description:
              'a credential of the unit that holds such lines (systemd’s LoadCredentialEncrypted=)',
          }),
      })
      .refine(
        ({ file: path, command, credential }) =>
          [path, command, credential].filter((source) => source !== undefined).length <= 1,
        'give one of file, command and credential',
      )
      .prefault({}),
    etcd: z
      .strictObject({
        endpoints: z
          .array(z.string().superRefine(isEtcdUrl))
          .default([])
          .meta({ description: 'the client URLs of a separate etcd, not of k3s’ own' }),
        prefix: z
          .string()
          .regex(/^\/[\x21-\x7e]*[^/]$/)
          .optional()
          .meta({ description: 'before every key; unset: /k3s-daas/<cluster id>' }),
        caFile: file.optional().meta({ description: 'PEM of the authority of etcd’s certificates' }),
        certFile: file.optional().meta({ description: 'PEM of the client certificate for etcd' }),
        keyFile: file.optional().meta({ description: 'PEM of its key (0600)' }),
        leaseSeconds: z.number().int().min(5).max(120).default(15).meta({
          description: 'how long a leading gateway that is silent still leads; another takes over after that',
        }),
      })
      .prefault({}),
    kubernetes: z
      .strictObject({
        leaseSeconds: z.number().int().min(5).max(120).default(15).meta({
          description: 'how long a leading gateway that is silent still leads; another takes over after that',
        }),
      })
      .prefault({}),
  })
  .superRefine(({ engine, etcd, keys }, context) => {
    if (engine === 'sqlite') return;
    const issue = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (engine === 'etcd' && etcd.endpoints.length === 0)
      issue(['etcd', 'endpoints'], 'engine etcd needs a URL at least');
    if (Object.values(keys).every((source) => source === undefined))
      issue(
        ['keys'],
        `engine ${engine} needs file, command or credential: others can read what is in ${engine === 'etcd' ? 'etcd' : 'Secrets'}`,
      );
  });
export type StateConfig = z.infer<typeof StateConfig>;

/** Without TLS only on this machine: who can write the state decides who is admitted. */
function isEtcdUrl(text: string, context: z.RefinementCtx): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)) return;
  const message = httpsOriginProblem(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
}
