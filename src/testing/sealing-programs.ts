import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Stand-ins of the programs that reach the hardware, with the command lines, files and outputs of their sources: snpguest
 * 0.10.0 (`key`, src/key.rs) and kmstool_enclave_cli (aws-nitro-enclaves-sdk-c, bin/kmstool-enclave-cli/main.c). What the
 * hardware would decide stands in files that a test changes: the guest's measurement, the image of the enclave, the key policy.
 */
export interface SealingPrograms {
  readonly snpguest: string;
  readonly kmstool: string;
  /** What the hardware has measured. */
  measure(code: string): Promise<void>;
  /** The images that the key policy of KMS names. */
  allow(...images: readonly string[]): Promise<void>;
  readonly credentialsFile: string;
  /** A file with the calls of kmstool so far, one a line. */
  readonly calls: string;
  /** A file with the path that snpguest was told last. */
  readonly keyPath: string;
}

/** The key depends on the measurement when bit 3 of the field selection is set, and on what else is asked for. */
const SNPGUEST = `#!/bin/sh
set -eu
here=$(dirname "$0")
[ "$1" = key ] || { echo "unrecognized subcommand '$1'" >&2; exit 2; }
path=$2 root=$3
printf '%s' "$path" >"$here/key-path"
shift 3
fields=0 vmpl=1 svn=0 tcb=0
while [ $# -gt 0 ]; do
  case $1 in
    --guest_field_select) fields=$2 ;;
    --vmpl) vmpl=$2 ;;
    --guest_svn) svn=$2 ;;
    --tcb_version) tcb=$2 ;;
    *) echo "unexpected argument '$1' found" >&2; exit 2 ;;
  esac
  shift 2
done
case $root in vcek|vmrk) ;; *) echo "Invalid input. Enter either vcek or vmrk" >&2; exit 1 ;; esac
case $fields in
  0b[01][01]1[01][01][01]) measured=$(cat "$here/measured") ;;
  0b[01][01]0[01][01][01]) measured= ;;
  *) echo "invalid value '$fields' for '--guest_field_select <gfs>'" >&2; exit 2 ;;
esac
[ "$svn" -le "$(cat "$here/launched-svn")" ] || { echo "Failed to request derived key" >&2; exit 1; }
printf '%s' "$root $fields $vmpl $svn $tcb $measured" | openssl dgst -sha256 -binary >"$path"
`;

/** Encrypted keys of the stand-in are the key behind a mark; which image may open one, the policy's file says. */
const KMSTOOL = `#!/bin/sh
set -eu
here=$(dirname "$0")
echo "$1" >>"$here/calls"
command=$1 region= port= id= secret= token= ciphertext= key= spec=
shift
while [ $# -gt 0 ]; do
  case $1 in
    --region) region=$2 ;; --proxy-port) port=$2 ;;
    --aws-access-key-id) id=$2 ;; --aws-secret-access-key) secret=$2 ;; --aws-session-token) token=$2 ;;
    --ciphertext) ciphertext=$2 ;; --key-id) key=$2 ;; --key-spec) spec=$2 ;;
    *) echo "Unknown option: $1" >&2; exit 1 ;;
  esac
  shift 2
done
[ -n "$region" ] && [ -n "$port" ] || exit 1
[ "$id $secret $token" = "AKIA secret session" ] || { echo "UnrecognizedClientException" >&2; exit 1; }
grep -qx "$(cat "$here/measured")" "$here/allowed" || { echo "AccessDeniedException" >&2; exit 1; }
case $command in
  genkey)
    [ -n "$key" ] && [ "$spec" = AES-256 ] || exit 1
    plain=$(openssl rand -base64 32)
    echo "CIPHERTEXT: $(printf 'kms:%s' "$plain" | openssl base64 -A)"
    echo "PLAINTEXT: $plain" ;;
  decrypt)
    plain=$(printf '%s' "$ciphertext" | openssl base64 -d -A)
    echo "PLAINTEXT: $(printf '%s' "$plain" | cut -c5-)" ;;
esac
`;

export async function sealingPrograms(directory: string): Promise<SealingPrograms> {
  const here = join(directory, 'programs');
  await mkdir(here, { mode: 0o700 });
  const at = (name: string) => join(here, name);
  await writeFile(at('snpguest'), SNPGUEST, { mode: 0o700 });
  await writeFile(at('kmstool_enclave_cli'), KMSTOOL, { mode: 0o700 });
  await writeFile(at('launched-svn'), '5');
  await writeFile(at('calls'), '');
  const credentials = { Code: 'Success', AccessKeyId: 'AKIA', SecretAccessKey: 'secret', Token: 'session' };
  await writeFile(at('credentials'), JSON.stringify(credentials), { mode: 0o600 });
  return {
    snpguest: at('snpguest'),
    kmstool: at('kmstool_enclave_cli'),
    credentialsFile: at('credentials'),
    calls: at('calls'),
    keyPath: at('key-path'),
    measure: (code) => writeFile(at('measured'), code),
    allow: (...images) => writeFile(at('allowed'), `${images.join('\n')}\n`),
  };
}
