export {
  LOGIN_ALGORITHM,
  LOGIN_CLOCK_LEEWAY_MS,
  LOGIN_PREFIX,
  LOGIN_TYPE,
  LONGEST_LOGIN,
  LONGEST_LOGIN_LIFE_MS,
} from './claims.ts';
export { type LoginFile, loginFileText, readLoginFile } from './login-file.ts';
export { credentialFlags, printCredential } from './program.ts';
export { type LoginSubject, signLogin } from './sign-login.ts';
