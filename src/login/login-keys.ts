/** What makes and opens keys of logins: for commands, and loaded when one needs it, since `credential` seldom does. */
export { encryptKey } from './encrypted-key.ts';
export { readFromKeyring, storeInKeyring } from './keyring.ts';
export { isEncrypted, readLoginKeyText } from './login-file.ts';
export { askPassphrase } from './passphrase.ts';
export { openKeyFile } from './sign-by.ts';
export { agentKeys, signWithAgent } from './ssh-agent.ts';
