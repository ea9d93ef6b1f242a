import { z } from 'zod';
import { httpsOriginProblem } from '#base';

const file = z.string().min(1);
const programPath = z.string().startsWith('/', 'expected an absolute path');

/** As `DerivedKeySource` has them: the layer of the state is not loaded for a configuration. */
const MixedField = z.enum(['guestPolicy', 'imageId', 'familyId', 'measurement', 'guestSvn', 'tcb']);

const keySource = {
  file: file.optional().meta({
    description:
      'values are sealed with the first of the keys in this file (0600), `<id> <32 bytes in base64url>` a line; unset, with none of the other sources: sqlite values are not sealed',
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
      description: 'a credential of the unit that holds such lines (systemd’s LoadCredentialEncrypted=)',
    }),
  snp: z
    .strictObject({
      program: programPath.default('/usr/local/bin/snpguest'),
      idsFile: file.meta({ description: 'the ids of the keys, one a line; `rotate-key` makes it' }),
      rootKey: z.enum(['vcek', 'vmrk']).default('vcek'),
      mix: z.array(MixedField).min(1).meta({
        description: 'only a guest with the same values of these fields gets the same keys',
      }),
      guestSvn: z.number().int().min(0).max(0xffff_ffff).default(0),
      tcbVersion: z
        .string()
        .regex(/^[0-9a-fA-F]{1,16}$/, 'expected up to 16 hexadecimal digits')
        .optional(),
      vmpl: z.number().int().min(0).max(3).default(0),
    })
    .optional()
    .meta({ description: 'keys that the chip derives for this guest of SEV-SNP, asked for by snpguest' }),
  kms: z
    .strictObject({
      program: programPath.default('/usr/local/bin/kmstool_enclave_cli'),
      file: file.meta({ description: '`<id> <encrypted key in base64>` a line; `rotate-key` makes it' }),
      region: z.string().regex(/^[a-z0-9-]{1,40}$/),
      keyId: z.string().min(1).max(2048),
      proxyPort: z.number().int().min(1).max(65_535).default(8000),
      credentialsFile: file.meta({ description: 'AccessKeyId, SecretAccessKey and Token in JSON (0600)' }),
    })
    .optional()
    .meta({ description: 'encrypted keys that AWS KMS opens for this Nitro Enclave' }),
};
const oneSource = 'give one of file, command, credential, snp and kms';

const sourcesIn = (keys: object): readonly string[] =>
  Object.entries(keys).flatMap(([name, source]) =>
    name === 'earlier' || source === undefined ? [] : [name],
  );

/** Where the gateway's state is kept; docs/operations.md explains several gateways. */
export const StateConfig = z
  .strictObject({
    engine: z.enum(['sqlite', 'etcd', 'kubernetes']).default('sqlite').meta({
      description:
        'sqlite: a file in stateDir; etcd, or Secrets of the cluster itself (kubernetes): shared by the gateways of a cluster, of which one leads',
    }),
    keys: z
      .strictObject({
        ...keySource,
        earlier: z
          .array(z.strictObject(keySource).refine((source) => sourcesIn(source).length === 1, oneSource))
          .min(1)
          .optional()
          .meta({
            description:
              'sources as beside it, whose keys only open what was sealed before: for the way from one place to another',
          }),
      })
      .refine((keys) => sourcesIn(keys).length <= 1, oneSource)
      .refine(
        (keys) => keys.earlier === undefined || sourcesIn(keys).length === 1,
        'earlier keys open only: name beside them what seals',
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
        `engine ${engine} needs keys: others can read what is in ${engine === 'etcd' ? 'etcd' : 'Secrets'}`,
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
