import { z } from 'zod';
import { Secret } from '#base';
import { isInsecure } from '#infrastructure';

export const DurationMs = z.int().min(0).max(86_400_000);
export const MistAmount = z
  .union([z.int(), z.string()], 'expected a whole number of MIST (1 SUI is 1000000000)')
  .refine((amount) => /^\d+$/.test(String(amount)), 'expected a whole number of MIST (1 SUI is 1000000000)')
  .refine(
    (amount) => typeof amount === 'string' || Number.isSafeInteger(amount),
    'write an amount this large as a string',
  )
  .transform((amount) => BigInt(amount))
  .refine((amount) => amount < 2n ** 64n, 'expected at most 18446744073709551615 MIST (2^64 - 1)');
export const ObjectId = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,64}$/, 'expected 0x and up to 64 hexadecimal digits');

/** The `chain` section of the configuration; docs/configuration.md explains it. */
export const chain = z
  .strictObject({
    endpoints: z
      .array(
        z
          .url({ protocol: /^https?$/, error: 'expected http:// or https:// URLs' })
          .refine(
            (url) => !URL.parse(url)?.username && !URL.parse(url)?.password,
            'expected no user or password in the URL',
          ),
      )
      .min(1, 'expected at least one URL')
      .meta({
        description: 'gRPC URLs of Sui full nodes, used as a pool',
      }),
    archiveUrl: z
      .url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL' })
      .refine(
        (url) => !URL.parse(url)?.username && !URL.parse(url)?.password,
        'expected no user or password in the URL',
      )
      .optional()
      .meta({
        description:
          'gRPC URL of an archive, asked for proofs of what the endpoints have pruned; nothing it says is believed',
      }),
    deployment: z.string().min(1).optional().meta({
      description:
        'the file that `k3s-daas cluster create` wrote: {chainId, packageId, clusterId}; or give the three here',
    }),
    chainId: z.string().min(1).optional().meta({ description: 'base58 digest of the genesis checkpoint' }),
    packageId: ObjectId.optional().meta({ description: 'object id of the published contracts' }),
    clusterId: ObjectId.optional().meta({ description: 'object id of the cluster' }),
    allowInsecure: z.boolean().default(false).meta({
      description: 'allow http:// endpoints on other machines: the network between can then forge answers',
    }),
    headers: z
      .record(
        z.string(),
        z
          .string()
          .min(1)
          .transform((value) => new Secret(value)),
      )
      .optional()
      .meta({
        description:
          'headers for the endpoint, such as the key of a provider; with one endpoint only; better in headersFile',
        secret: true,
      }),
    headersFile: z.string().min(1).optional().meta({
      description:
        'a file (0600) with one `Name: value` a line; with several endpoints, `[URL]` above the headers of each',
    }),
    endpointProxies: z
      .record(
        z.string(),
        z
          .string()
          .min(1)
          .refine(
            (proxy) => proxy === 'direct' || !/@/.test(proxy),
            'expected no user or password: put them into HTTPS_PROXY',
          ),
      )
      .optional()
      .meta({
        description:
          'by the URL of an endpoint: the HTTP proxy to it, or direct; other endpoints use HTTPS_PROXY and HTTP_PROXY',
      }),
    timeoutMs: DurationMs.min(100).default(10_000).meta({ description: 'for one call to a full node' }),
    probe: z
      .strictObject({
        mode: z.enum(['off', 'admissions', 'every']).default('off').meta({
          description:
            'paid probes of the gateway, by which no full node can hide a change. admissions: for those that need one; every: at an interval too',
        }),
        everyMs: z
          .int()
          .min(300_000)
          .max(86_400_000)
          .default(600_000)
          .meta({ description: 'the interval of `every`, 5 minutes to a day; each costs about 0.001 SUI' }),
        keyFile: z.string().min(1).optional().meta({
          description:
            'a file (0600) with the key of the wallet that pays; give it a wallet of its own, with a few SUI',
        }),
      })
      .prefault({}),
    gasBudgets: z
      .strictObject({
        stakeMist: MistAmount.default(50_000_000n).meta({ description: 'the most gas a stake may cost' }),
        mintMist: MistAmount.default(50_000_000n).meta({ description: 'the most gas a Seal token may cost' }),
      })
      .prefault({}),
  })
  .superRefine(({ endpoints, archiveUrl, allowInsecure }, context) => {
    // A URL with a password is rejected elsewhere, by a message without the value; this message shows it.
    if (archiveUrl !== undefined && !allowInsecure && isInsecure(archiveUrl) && !/[@?]/.test(archiveUrl))
      context.addIssue({
        code: 'custom',
        path: ['archiveUrl'],
        message: 'http:// to another machine. Use https://, or set chain.allowInsecure',
      });
    for (const [index, endpoint] of endpoints.entries())
      if (!allowInsecure && isInsecure(endpoint) && !/[@?]/.test(endpoint))
        context.addIssue({
          code: 'custom',
          path: ['endpoints', index],
          message:
            'http:// to another machine: the network between can forge answers. Use https://, or set chain.allowInsecure',
        });
  })
  .prefault({} as never);
