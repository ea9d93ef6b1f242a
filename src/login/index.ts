export {
  LOGIN_ALGORITHM,
  LOGIN_CLOCK_LEEWAY_MS,
  LOGIN_PREFIX,
  LOGIN_TYPE,
  LONGEST_LOGIN,
  LONGEST_LOGIN_LIFE_MS,
  type LoginClaims,
  type LoginHeader,
} from './claims.ts';
export { type LoginSubject, type SignedLogin, signLogin } from './sign-login.ts';
