import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addKey, createStore, openKeyRing, openSqliteEngine, sealEngine } from '#state';
import { missingTpmPrograms, type SoftTpm, startSwtpm } from '../src/tee/swtpm.fixture.ts';

const missing = [
  ...missingTpmPrograms,
  ...(spawnSync('/usr/bin/systemd-creds', ['--version']).error ? ['systemd-creds'] : []),
];
const named = missing.length > 0 ? ` (needs ${missing.join(', ')})` : '';

/** A credential that this TPM opens while register 7 has its value of now. */
async function credentialOf(tpm: SoftTpm, keys: string, credential: string): Promise<void> {
  const flags = ['--with-key=tpm2', `--tpm2-device=${tpm.tcti}`, '--tpm2-pcrs=7', '--name=state-keys'];
  await tpm.tool('/usr/bin/systemd-creds', 'encrypt', ...flags, keys, credential);
}

/** What systemd does for `LoadCredentialEncrypted=`, as a program that prints the keys. */
const openedBy = (tpm: SoftTpm, credential: string) => ({
  command: [
    '/usr/bin/systemd-creds',
    'decrypt',
    `--tpm2-device=${tpm.tcti}`,
    '--name=state-keys',
    credential,
    '-',
  ],
});

describe.skipIf(missing.length > 0)(`the keys of a state in a TPM${named}`, () => {
  test('they move from a file to the TPM and back; another TPM, and this one after a change of Secure Boot, open nothing', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'state-keys-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await using tpm = await startSwtpm();
    await using otherTpm = await startSwtpm();
    for (const one of [tpm, otherTpm]) await one.extend(7, '11'.repeat(32));
    const at = (name: string) => join(directory, name);
    const [file, moving, credential] = [at('keys'), at('moving'), at('state-keys.cred')];
    await addKey({ file }, 0);
    const inTpm = await addKey({ file: moving }, 0);
    await credentialOf(tpm, moving, credential);
    await rm(moving);
    const database = at('gateway.db');
    /** As a gateway that starts with these keys, seals with the first, and stops. */
    const runWith = async (keys: Parameters<typeof openKeyRing>[0]) => {
      // The kernel's resource manager forgets sessions by itself; here the TPM is reached without it.
      for (const one of [tpm, otherTpm])
        for (const what of ['-l', '-t']) await one.tool('tpm2_flushcontext', what);
      const ring = await openKeyRing(keys);
      await using engine = openSqliteEngine(database);
      const sealed = await sealEngine(engine, ring, 'cluster');
      const count = await sealed.reseal();
      return { count, records: await createStore(sealed).list('/'), id: ring.current().id };
    };

    {
      await using sealed = await sealEngine(
        openSqliteEngine(database),
        await openKeyRing({ file }),
        'cluster',
      );
      await createStore(sealed).write([{ key: '/bans/node_id/worker-1', value: { reason: 'slashed' } }]);
    }
    const there = await runWith({ ...openedBy(tpm, credential), earlier: [{ file }] });
    expect(there).toMatchObject({ count: 1, id: inTpm?.ids[0] });
    expect((await runWith(openedBy(tpm, credential))).records).toEqual(there.records);
    await expect(runWith({ file })).rejects.toMatchObject({ code: 'DAAS_STATE_KEY_UNKNOWN' });
    const refused = { code: 'DAAS_STATE_KEYS_INVALID' };
    await expect(runWith(openedBy(otherTpm, credential))).rejects.toMatchObject(refused);

    const back = await runWith({ file, earlier: [openedBy(tpm, credential)] });
    expect(back.records).toEqual(there.records);
    expect((await runWith({ file })).count).toBe(0);

    await tpm.extend(7, '22'.repeat(32));
    await expect(runWith(openedBy(tpm, credential))).rejects.toMatchObject(refused);
    await writeFile(credential, 'gone');
    await expect(runWith(openedBy(tpm, credential))).rejects.toMatchObject(refused);
  });
});
