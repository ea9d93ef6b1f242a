import { z } from 'zod';
import { isInsecure } from '#infrastructure';

const Severity = z.enum(['info', 'warning', 'critical']);

export const NotifierConfig = z.strictObject({
  /** Notices below it are not sent. */
  least: Severity.default('warning'),
  /** POSTs each notice as JSON. */
  webhook: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL' })
        // fetch refuses such a URL, and its message would carry the password into the log.
        .refine((url) => !URL.canParse(url) || new URL(url).username + new URL(url).password === '', {
          error: 'a URL with a user name or password: use tokenFile',
        }),
      /** A file (0600) whose content is sent as `Authorization: Bearer …`. */
      tokenFile: z.string().startsWith('/', 'expected an absolute path').optional(),
    })
    .refine(({ url, tokenFile }) => tokenFile === undefined || !isInsecure(url), {
      path: ['url'],
      error: 'http:// to another machine sends the token in the clear: use https://, or no tokenFile',
    })
    .optional(),
  /** Runs a program, with the notice as JSON on its standard input. */
  command: z
    .array(z.string())
    .min(1, 'expected the path of a program and its arguments')
    .refine(([program]) => program?.startsWith('/'), 'expected the absolute path of a program')
    .optional(),
  /** Writes each notice to standard error with the priority of its severity (sd-daemon(3)), for journald. */
  journal: z.boolean().default(false),
});
export type NotifierConfig = z.infer<typeof NotifierConfig>;
