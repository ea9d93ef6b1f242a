import { definePlugin, Notifier } from 'k3s-daas/plugin';
import { runCommand } from './command.ts';
import { NotifierConfig } from './config.ts';
import { journalLine } from './journal.ts';
import { postNotice } from './webhook.ts';

const ranks = { info: 0, warning: 1, critical: 2 } as const;

/** Takes notices to a webhook, a command, and the journal. Each is a notifier of its own: one that fails delays no other. */
export default definePlugin({
  name: 'notifier',
  api: 1,
  config: NotifierConfig,
  setup({ config, provide }) {
    const { least, webhook, command, journal } = config;
    const add = (notify: Notifier['notify']) =>
      provide(Notifier, {
        notify: async (notice, signal) => {
          if (ranks[notice.severity] >= ranks[least]) await notify(notice, signal);
        },
      });
    if (webhook) add((notice, signal) => postNotice(webhook, notice, signal));
    if (command) add((notice, signal) => runCommand(command, notice, signal));
    if (journal) add(async (notice) => void process.stderr.write(journalLine(notice)));
  },
});
