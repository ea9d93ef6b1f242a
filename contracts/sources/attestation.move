/// Attested gateways: that an enclave of AWS Nitro with the measurement of a registered gateway holds a key.
///
/// The document is checked by the chain itself (`sui::nitro_attestation`: signature, certificates, time). This module
/// compares what it says with what the admin registered. What is shown does not last: an enclave that is not shown anew
/// within a week counts for nothing.
#[allow(lint(prefer_mut_tx_context))]
module k3s_daas::attestation;

use k3s_daas::cluster::Cluster;
use std::hash;
use sui::clock::Clock;
use sui::nitro_attestation::NitroAttestationDocument;

// === Errors ===

#[error]
const ENotNitro: vector<u8> =
    b"The gateway is not registered with the attestation kind nitro: its attestation is checked off the chain";
#[error]
const EMeasurementDiffers: vector<u8> =
    b"The enclave does not have the measurement that is registered for the gateway";
#[error]
const EDebugEnclave: vector<u8> =
    b"The enclave runs in debug mode, or its document lacks a register: its memory can be read from outside";
#[error]
const EEnclaveKey: vector<u8> =
    b"The document must name an Ed25519 public key of 32 bytes that the enclave has made";
#[error]
const EDocumentAge: vector<u8> =
    b"The document is more than an hour from the time of the chain: ask the enclave for a new one";
#[error]
const EDocumentNotNewer: vector<u8> =
    b"The document is not newer than the one that is stored for the gateway: ask the enclave for a new one";

// === Constants ===

const KEY_LENGTH: u64 = 32;
/// A document may be so far from the chain's clock, on either side.
const MAX_DOCUMENT_AGE_MS: u64 = 3_600_000;
const ATTESTATION_LIFE_MS: u64 = 604_800_000;

/// What a document says, as far as it matters here.
public struct Claim has drop {
    pcr0: vector<u8>,
    pcr1: vector<u8>,
    pcr2: vector<u8>,
    public_key: Option<vector<u8>>,
    timestamp_ms: u64,
}

// === Functions ===

/// Stores which key the gateway's enclave holds, for a week, in place of an older one. The document comes from
/// `sui::nitro_attestation::load_nitro_attestation` in the same transaction. Only the admin (`cluster::ENotAdmin`): the
/// image of an enclave is public, so anybody could show one with the same measurement. Aborts with
/// `cluster::ENoSuchGateway`, `ENotNitro`, `EDebugEnclave`, `EMeasurementDiffers`, `EEnclaveKey`, `EDocumentAge`,
/// `EDocumentNotNewer`. Emits `cluster::GatewayAttested`.
public fun register_attestation(
    cluster: &mut Cluster,
    gateway: ID,
    document: NitroAttestationDocument,
    clock: &Clock,
    ctx: &TxContext,
) {
    register_claim(cluster, gateway, claim_of(&document), clock, ctx)
}

/// What `register_attestation` does once the document is read.
public(package) fun register_claim(
    cluster: &mut Cluster,
    gateway: ID,
    claim: Claim,
    clock: &Clock,
    ctx: &TxContext,
) {
    let Claim { pcr0, pcr1, pcr2, public_key, timestamp_ms } = claim;
    let now_ms = clock.timestamp_ms();
    cluster.assert_admin(ctx);
    let registered = cluster.gateway(gateway);
    assert!(registered.attestation_kind() == b"nitro".to_string(), ENotNitro);
    assert!(!is_zero(&pcr0), EDebugEnclave);
    assert!(
        registered.attestation_measurement() == &measurement(pcr0, pcr1, pcr2),
        EMeasurementDiffers,
    );
    let enclave_key = if (public_key.is_some()) *public_key.borrow()
    else vector[];
    assert!(enclave_key.length() == KEY_LENGTH, EEnclaveKey);
    let distance_ms = if (now_ms > timestamp_ms) now_ms - timestamp_ms else timestamp_ms - now_ms;
    assert!(distance_ms <= MAX_DOCUMENT_AGE_MS, EDocumentAge);
    // Otherwise a document of the last hour would bring back the key of an enclave that has been replaced.
    let stored = registered.attestation();
    assert!(stored.is_none() || timestamp_ms > stored.borrow().attested_at_ms(), EDocumentNotNewer);
    cluster.attest_gateway(gateway, enclave_key, timestamp_ms, timestamp_ms + ATTESTATION_LIFE_MS);
}

/// The measurement of a Nitro enclave as a gateway is registered with it: SHA-256 of PCR0, PCR1 and PCR2, one after the
/// other.
public fun measurement(pcr0: vector<u8>, pcr1: vector<u8>, pcr2: vector<u8>): vector<u8> {
    let mut registers = pcr0;
    registers.append(pcr1);
    registers.append(pcr2);
    hash::sha2_256(registers)
}

// === Internals ===

fun claim_of(document: &NitroAttestationDocument): Claim {
    Claim {
        pcr0: register(document, 0),
        pcr1: register(document, 1),
        pcr2: register(document, 2),
        public_key: *document.public_key(),
        timestamp_ms: *document.timestamp(),
    }
}

/// The value of a platform configuration register, found by its index; empty when the document lacks it.
fun register(document: &NitroAttestationDocument, index: u8): vector<u8> {
    let registers = document.pcrs();
    let mut i = 0;
    while (i < registers.length()) {
        if (registers[i].index() == index) return *registers[i].value();
        i = i + 1;
    };
    vector[]
}

fun is_zero(bytes: &vector<u8>): bool {
    let mut i = 0;
    while (i < bytes.length()) {
        if (bytes[i] != 0) return false;
        i = i + 1;
    };
    true
}

#[test_only]
public fun claim_for_testing(
    pcr0: vector<u8>,
    pcr1: vector<u8>,
    pcr2: vector<u8>,
    public_key: Option<vector<u8>>,
    timestamp_ms: u64,
): Claim {
    Claim { pcr0, pcr1, pcr2, public_key, timestamp_ms }
}
