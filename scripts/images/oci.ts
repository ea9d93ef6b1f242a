import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '../release/artefact.ts';
import { MINUTE_MS, outputOf } from '../release/child.ts';
import { type Architecture, debianName } from '../release/node-packages.ts';

/** Files of one layer; each of `owned` is a directory of another owner and mode than the rest, which is root's and readable. */
interface Layer {
  readonly directory: string;
  readonly comment: string;
  readonly owned?: readonly OwnedDirectory[];
}

interface OwnedDirectory {
  /** Relative: `var/lib/k3s-daas-gateway`. */
  readonly path: string;
  readonly owner: number;
  /** Octal, as tar takes it. */
  readonly mode: string;
}

/** What an engine runs: the part `config` of an OCI image configuration. */
interface RunConfig {
  readonly User: string;
  readonly WorkingDir: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
}

export interface OciImage {
  /** `k3s-daas-gateway:<version>` */
  readonly name: string;
  readonly architecture: Architecture;
  readonly layers: readonly Layer[];
  readonly config: RunConfig;
}

const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const NEVER = '1970-01-01T00:00:00Z';
const SAME = ['--sort=name', '--numeric-owner', '--mtime=@0', '--format=gnu'];
const ROOT = ['--owner=0', '--group=0', '--mode=u=rwX,go=rX'];

/**
 * Writes an image as an OCI layout in a tar (OCI image spec 1.1), which engines load as they load `docker save`. The same files
 * give the same bytes on every machine: sorted, of one owner and time, layers not compressed, since compressors differ.
 * @returns the digest of the manifest, by which registries and engines know the image.
 */
export function writeOciImage(file: string, image: OciImage): string {
  const stage = mkdtempSync(join(tmpdir(), 'k3s-daas-oci-'));
  try {
    const blobs = join(stage, 'layout', 'blobs', 'sha256');
    mkdirSync(blobs, { recursive: true });
    const layers = image.layers.map((layer) => layerBlob(blobs, stage, layer));
    const config = jsonBlob(blobs, CONFIG, configOf(image, layers));
    const manifest = jsonBlob(blobs, MANIFEST, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers,
    });
    const put = (name: string, value: unknown) =>
      writeFileSync(join(stage, 'layout', name), JSON.stringify(value));
    put('oci-layout', { imageLayoutVersion: '1.0.0' });
    const annotations = {
      'io.containerd.image.name': `docker.io/library/${image.name}`,
      'org.opencontainers.image.ref.name': image.name.split(':')[1],
    };
    put('index.json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [{ ...manifest, annotations }],
    });
    const pathOf = ({ digest }: Descriptor) => `blobs/sha256/${digest.slice('sha256:'.length)}`;
    // What `docker load` reads, of every version.
    put('manifest.json', [
      { Config: pathOf(config), RepoTags: [image.name], Layers: layers.map((layer) => pathOf(layer)) },
    ]);
    tar(join(stage, 'layout'), ['-cf', file, ...ROOT, ...SAME, '.']);
    return manifest.digest;
  } finally {
    rmSync(stage, { recursive: true });
  }
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function layerBlob(blobs: string, stage: string, { directory, owned = [] }: Layer): Descriptor {
  const file = join(stage, 'layer.tar');
  const apart = owned.map(({ path }) => `--exclude=./${path}`);
  tar(directory, ['-cf', file, ...ROOT, ...SAME, '--anchored', ...apart, '.']);
  for (const { path, owner, mode } of owned) {
    const own = [`--owner=${owner}`, `--group=${owner}`, `--mode=${mode}`];
    tar(directory, ['-rf', file, ...own, ...SAME, '--no-recursion', `./${path}`]);
  }
  const digest = sha256(file);
  const size = statSync(file).size;
  renameSync(file, join(blobs, digest));
  return { mediaType: LAYER, digest: `sha256:${digest}`, size };
}

function jsonBlob(blobs: string, mediaType: string, value: object): Descriptor {
  const text = JSON.stringify(value);
  const digest = createHash('sha256').update(text).digest('hex');
  writeFileSync(join(blobs, digest), text);
  return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
}

function configOf({ architecture, layers, config }: OciImage, blobs: readonly Descriptor[]): object {
  return {
    created: NEVER,
    architecture: debianName(architecture),
    os: 'linux',
    config,
    // Layers are not compressed: a blob is what it unpacks to.
    rootfs: { type: 'layers', diff_ids: blobs.map(({ digest }) => digest) },
    history: layers.map(({ comment }) => ({ created: NEVER, comment })),
  };
}

function tar(directory: string, args: readonly string[]): void {
  outputOf('tar', ['-C', directory, ...args], { withinMs: 10 * MINUTE_MS });
}
