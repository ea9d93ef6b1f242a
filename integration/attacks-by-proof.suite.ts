import { request as plainRequest } from 'node:http';
import { connect } from 'node:tls';
import { CompactSign } from 'jose';
import { describe, expect, test } from 'vitest';
import { expectUnproven, forge, gateway, k3s, mallory, type Tampering, victim } from './attack-world.ts';
import { suiteWorld } from './suite-world.ts';
import {
  ask,
  challenge,
  HEARTBEAT,
  heartbeatBody,
  honestClaims,
  newNodeKey,
  post,
  REGISTER,
  register,
  registerBody,
  signProof,
} from './world/outsider.ts';

/** Requests with no, stolen, altered or misused proofs, and what is no request. */
describe.skipIf(suiteWorld.isMissing)(`attacks by proof on ${suiteWorld.name}`, () => {
  describe('what is public on chain opens nothing', () => {
    test.each(['x-seal-token', 'authorization'])('the token hash as %s', async (name) => {
      const { tokenHash } = victim;
      expect(tokenHash).toMatch(/^seal_[0-9a-f]{32}$/);
      const headers = { [name]: name === 'authorization' ? `Bearer ${tokenHash}` : tokenHash };
      for (const path of [REGISTER, HEARTBEAT])
        await expectUnproven(
          await post(gateway, path, { body: registerBody(victim), headers }),
          'proof_malformed',
        );
    });

    test.each(['mock_seal_x', 'seal_mock', 'seal_'])('%s, as header and as bearer', async (mock) => {
      const body = registerBody(victim);
      await expectUnproven(await post(gateway, REGISTER, { body, proof: mock }), 'proof_malformed');
      const headers = { authorization: `Bearer ${mock}` };
      await expectUnproven(await post(gateway, REGISTER, { body, headers }), 'proof_malformed');
    });

    test('the token’s object id, its record’s id, nothing at all', async () => {
      const body = registerBody(victim);
      await expectUnproven(await post(gateway, REGISTER, { body, proof: victim.tokenId }), 'proof_malformed');
      await expectUnproven(await forge({ kid: victim.recordId }), 'token_not_found');
      await expectUnproven(await post(gateway, REGISTER, { body }), 'proof_missing');
    });

    test('none of it is a token of the k3s server or the Kubernetes API either', async () => {
      const proof = await signProof({
        signer: victim.nodeKey,
        kid: victim.tokenId,
        claims: { ...honestClaims(gateway, victim.nodeId, { path: '/', body: '' }), inc: 1, seq: 1 },
      });
      for (const bearer of [victim.tokenHash, 'mock_seal_x', proof])
        for (const path of ['/v1-k3s/config', '/api/v1/nodes'])
          expect(
            (await ask(k3s.server + path, { ca: k3s.ca, headers: { authorization: `Bearer ${bearer}` } }))
              .status,
            path,
          ).toBe(401);
    });
  });

  describe('a proof counts once, for one request, for one minute', () => {
    test('a registration is replayed', async () => {
      const { status, proof, sent } = await register(gateway, victim);
      expect(status).toBe(200);
      await expectUnproven(await post(gateway, REGISTER, { proof, body: sent }), 'nonce_used');
    });

    test('a heartbeat is replayed, with an equal and with a lower sequence, and after a new registration', async () => {
      const { body: admitted } = await register(gateway, victim);
      const body = heartbeatBody(victim.nodeId);
      const beat = (inc: number, seq: number) =>
        signProof({
          signer: victim.nodeKey,
          kid: victim.tokenId,
          claims: { ...honestClaims(gateway, victim.nodeId, { path: HEARTBEAT, body }), inc, seq },
        });
      const proof = await beat(admitted.incarnation, 2);
      expect((await post(gateway, HEARTBEAT, { proof, body })).status).toBe(200);
      await expectUnproven(await post(gateway, HEARTBEAT, { proof, body }), 'sequence_replayed');
      const lower = await beat(admitted.incarnation, 1);
      await expectUnproven(await post(gateway, HEARTBEAT, { proof: lower, body }), 'sequence_replayed');
      const unused = await beat(admitted.incarnation, 3);
      await register(gateway, victim);
      // Signed by the node's own key, so that its holder is told why.
      expect(await post(gateway, HEARTBEAT, { proof: unused, body })).toMatchObject({
        status: 409,
        body: { code: 'registration_superseded' },
      });
    });

    test('a proof for one route is shown at another', async () => {
      const { proof } = await register(gateway, victim);
      await expectUnproven(
        await post(gateway, HEARTBEAT, { proof, body: heartbeatBody(victim.nodeId) }),
        'path_mismatch',
      );
    });

    const second = () => Date.now() / 1000;
    test.each<[attack: string, reason: string, tampering: () => Tampering]>([
      ['expired', 'proof_expired', () => ({ claims: { iat: second() - 60, exp: second() - 1 } })],
      [
        'from the future',
        'proof_from_future',
        () => ({ claims: { iat: second() + 30, exp: second() + 60 } }),
      ],
      [
        'made to live for a year',
        'proof_life_too_long',
        () => ({ claims: { iat: second(), exp: second() + 3e7 } }),
      ],
      ['for another gateway', 'audience_mismatch', () => ({ claims: { aud: `0x${'ab'.repeat(32)}` } })],
      ['for another method', 'method_mismatch', () => ({ claims: { htm: 'GET' } })],
      ['for another path', 'path_mismatch', () => ({ claims: { htu: HEARTBEAT } })],
      [
        'over another body',
        'body_mismatch',
        () => ({ body: registerBody({ ...victim, passwordHash: mallory.passwordHash }) }),
      ],
      ['without a nonce', 'nonce_missing', () => ({ claims: { nonce: undefined } })],
      ['with a nonce that nobody gave out', 'nonce_invalid', () => ({ claims: { nonce: 'AAAAaaaa' } })],
    ])('a proof that is %s', async (_attack, reason, tampering) => {
      await expectUnproven(await forge(tampering()), reason);
    });

    test('a nonce that was given out for another node', async () => {
      const nonce = await challenge(gateway, mallory);
      await expectUnproven(await forge({ claims: { nonce } }), 'nonce_invalid');
    });
  });

  describe('a key proves its own node alone', () => {
    test('another node’s key signs for the victim’s token', async () => {
      await expectUnproven(await forge({ signer: mallory.nodeKey }), 'holder_key_mismatch');
    });

    test('another key signs, and the victim’s public key is presented', async () => {
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: victim.nodeKey.x };
      await expectUnproven(await forge({ signer: newNodeKey(), header: { jwk } }), 'signature_invalid');
    });

    test('a staker asks for the victim’s name with his own token and key', async () => {
      const answer = await forge({ signer: mallory.nodeKey, kid: mallory.tokenId });
      expect(answer).toMatchObject({ status: 403, body: { code: 'node_id_mismatch' } });
    });

    test('another node’s key sends the victim’s heartbeat', async () => {
      const { body: admitted } = await register(gateway, victim);
      const body = heartbeatBody(victim.nodeId);
      const claims = {
        ...honestClaims(gateway, victim.nodeId, { path: HEARTBEAT, body }),
        inc: admitted.incarnation,
        seq: 1,
      };
      for (const [kid, reason] of [
        [victim.tokenId, 'signature_invalid'],
        [mallory.tokenId, 'token_mismatch'],
      ] as const) {
        const proof = await signProof({ signer: mallory.nodeKey, kid, claims });
        await expectUnproven(await post(gateway, HEARTBEAT, { proof, body }), reason);
      }
    });

    test('no algorithm, a public key taken for a secret, another type, a header nobody knows', async () => {
      const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const body = registerBody(victim);
      const claims = {
        ...honestClaims(gateway, victim.nodeId, { path: REGISTER, body }),
        nonce: await challenge(gateway, victim),
      };
      const header = { typ: 'seal+jwt', kid: victim.tokenId };
      const none = `seal_${json({ ...header, alg: 'none' })}.${json(claims)}.`;
      await expectUnproven(await post(gateway, REGISTER, { proof: none, body }), 'proof_malformed');
      const unsigned = `seal_${json({ ...header, alg: 'none' })}.${json(claims)}.AA`;
      await expectUnproven(await post(gateway, REGISTER, { proof: unsigned, body }), 'algorithm_refused');
      const confused = await new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ ...header, alg: 'HS256' })
        .sign(victim.nodeKey.publicKey);
      await expectUnproven(
        await post(gateway, REGISTER, { proof: `seal_${confused}`, body }),
        'algorithm_refused',
      );
      await expectUnproven(await forge({ header: { typ: 'JWT' } }), 'type_refused');
      await expectUnproven(await forge({ header: { x5u: 'https://mallory.example' } }), 'proof_malformed');
    });

    test('two proofs that differ, in the header and as a bearer; a body that names a third', async () => {
      const { proof, sent } = await register(gateway, victim);
      const headers = { authorization: `Bearer ${proof}x` };
      await expectUnproven(await post(gateway, REGISTER, { proof, body: sent, headers }), 'proof_missing');
      const body = JSON.stringify({ ...JSON.parse(registerBody(victim)), seal_token: 'mock_seal_x' });
      const claims = honestClaims(gateway, victim.nodeId, { path: REGISTER, body });
      expect(await forge({ claims: { bd: claims.bd }, body })).toMatchObject({
        status: 400,
        body: { code: 'request_invalid' },
      });
    });
  });

  describe('what is no request', () => {
    const isAlive = async () => expect(await challenge(gateway, victim)).toMatch(/./);

    test('a body of 10 MB', async () => {
      const proof = 'mock_seal_x';
      const body = Buffer.alloc(10 * 1024 * 1024, 'x');
      // The gateway answers before it has read it all, and may close on the rest.
      const answer = await post(gateway, REGISTER, { proof, body }).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (typeof answer === 'object')
        expect(answer).toMatchObject({ status: 413, body: { code: 'body_too_large' } });
      else expect(['ECONNRESET', 'EPIPE']).toContain(answer);
      await isAlive();
    });

    test('a body of 10 MB whose length is not announced', async () => {
      const headers = { 'transfer-encoding': 'chunked' };
      const body = Buffer.alloc(10 * 1024 * 1024, 'x');
      const answer = await post(gateway, REGISTER, { body, headers }).catch(
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (typeof answer === 'object') expect(answer.status).toBe(413);
      else expect(['ECONNRESET', 'EPIPE']).toContain(answer);
      await isAlive();
    });

    test('garbage: as a header, as a body, as bytes on the wire', async () => {
      const body = 'no JSON';
      for (const proof of ['seal_a.b.c', `seal_${'A'.repeat(3000)}`, 'seal_%00', 'x'.repeat(7000)])
        expect((await post(gateway, REGISTER, { proof, body })).status).toBe(401);
      expect(await post(gateway, REGISTER, { proof: 'x'.repeat(9000), body })).toMatchObject({ status: 400 });
      const claims = honestClaims(gateway, victim.nodeId, { path: REGISTER, body });
      expect(await forge({ claims: { bd: claims.bd }, body })).toMatchObject({
        status: 400,
        body: { code: 'request_invalid' },
      });
      expect(await onTheWire('\x16\x03\x01garbage\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
      expect(await onTheWire(`POST ${REGISTER} HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 400 /,
      );
      await isAlive();
    });

    test('plain HTTP, and TLS older than 1.3', async () => {
      const { hostname, port } = new URL(gateway.url);
      const overHttp = new Promise((resolve, reject) => {
        plainRequest({ hostname, port, path: REGISTER }, resolve).once('error', reject).end();
      });
      await expect(overHttp).rejects.toThrow();
      const old = new Promise((resolve, reject) => {
        const socket = connect(
          { host: hostname, port: Number(port), ca: gateway.ca, maxVersion: 'TLSv1.2' },
          () => {
            socket.destroy();
            resolve('connected');
          },
        ).once('error', reject);
      });
      await expect(old).rejects.toThrow(/version|alert/i);
    });

    async function onTheWire(bytes: string): Promise<string> {
      const { hostname, port } = new URL(gateway.url);
      const socket = connect({ host: hostname, port: Number(port), ca: gateway.ca });
      socket.end(bytes);
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      return text;
    }
  });
});
