export {
  LOGIN_ALGORITHM,
  LOGIN_CLOCK_LEEWAY_MS,
  LOGIN_PREFIX,
  LOGIN_TYPE,
  LONGEST_LOGIN,
  LONGEST_LOGIN_LIFE_MS,
} from './claims.ts';
export { type LoginFile, type LoginKey, loginFileText, readLoginFile } from './login-file.ts';
/** See login-keys.ts. */
export const loadLoginKeys = () => import('./login-keys.ts');
export { credentialFlags, printCredential } from './program.ts';
export { type LoginSubject, signLogin } from './sign-login.ts';
