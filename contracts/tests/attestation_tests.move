/// Attestation: what a document must say before its key counts. (That a document is genuine is for the chain's native;
/// how one is read is tested on the dev chain.)
#[test_only]
module k3s_daas::attestation_tests;

use k3s_daas::attestation::{Self, Claim};
use k3s_daas::cluster;
use k3s_daas::world::{Self, World};
use std::bcs;
use std::unit_test::assert_eq;

use fun world::and as vector.and;

const HOUR: u64 = 3_600_000;

#[test]
fun an_attested_key_is_kept_for_a_week() {
    let mut w = world::begin();
    let other = w.next_gateway(world::admin());
    let id = nitro_gateway(&mut w);
    w.at(HOUR + 7);
    w.attest(world::admin(), id, claim(7));
    assert_eq!(
        world::only_event<cluster::GatewayAttested>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&id)
            .and(&measured())
            .and(&world::key())
            .and(&7u64)
            .and(&(7 + 7 * world::day())),
    );
    let attestation = w.cluster().gateway(id).attestation().borrow();
    assert_eq!(*attestation.enclave_key(), world::key());
    assert_eq!(attestation.attested_at_ms(), 7);
    assert_eq!(attestation.attestation_expires_at_ms(), 7 + 7 * world::day());
    assert!(w.cluster().gateway(other).attestation().is_none());
    // A restarted enclave has a new key.
    w.attest(world::admin(), id, with_key(option::some(world::key_2()), HOUR));
    assert_eq!(*w.cluster().gateway(id).attestation().borrow().enclave_key(), world::key_2());
    w.end();
}

#[test]
fun the_measurement_is_the_hash_of_three_registers() {
    // SHA-256 of the bytes 01 02 03, computed apart from this code.
    assert_eq!(measured(), x"039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81");
}

#[test]
fun a_document_may_be_an_hour_ahead() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.at(5);
    w.attest(world::admin(), id, claim(HOUR + 5));
    assert!(w.cluster().gateway(id).attestation().is_some());
    w.end();
}

#[test, expected_failure(abort_code = attestation::EDocumentAge)]
fun a_document_more_than_an_hour_ahead_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.attest(world::admin(), id, claim(HOUR + 1));
    abort
}

#[test, expected_failure(abort_code = attestation::EDocumentAge)]
fun a_document_more_than_an_hour_old_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.at(HOUR + 8);
    w.attest(world::admin(), id, claim(7));
    abort
}

#[test, expected_failure(abort_code = attestation::EDocumentAge)]
fun a_document_of_the_last_millisecond_there_is_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.attest(world::admin(), id, claim(18_446_744_073_709_551_615));
    abort
}

#[test, expected_failure(abort_code = attestation::EDocumentNotNewer)]
fun an_older_document_does_not_replace_a_newer_one() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.at(HOUR);
    w.attest(world::admin(), id, claim(8));
    w.attest(world::admin(), id, with_key(option::some(world::key_2()), 7));
    abort
}

#[test, expected_failure(abort_code = attestation::EDocumentNotNewer)]
fun a_document_of_the_same_millisecond_does_not_replace_the_stored_one() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.attest(world::admin(), id, claim(8));
    w.attest(world::admin(), id, with_key(option::some(world::key_2()), 8));
    abort
}

#[test]
fun a_document_one_millisecond_newer_replaces_the_stored_one() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.attest(world::admin(), id, claim(8));
    w.attest(world::admin(), id, with_key(option::some(world::key_2()), 9));
    assert_eq!(w.cluster().gateway(id).attestation().borrow().attested_at_ms(), 9);
    assert_eq!(*w.cluster().gateway(id).attestation().borrow().enclave_key(), world::key_2());
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_shows_an_enclave() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.attest(world::mallory(), id, claim(0));
    abort
}

#[test, expected_failure(abort_code = cluster::ENoSuchGateway)]
fun there_must_be_such_a_gateway() {
    let mut w = world::begin();
    let id = w.cluster_id();
    nitro_gateway(&mut w);
    w.attest(world::admin(), id, claim(0));
    abort
}

#[test, expected_failure(abort_code = attestation::ENotNitro)]
fun a_gateway_of_another_kind_is_not_attested_here() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    w.attest(world::admin(), id, claim(0));
    abort
}

#[test, expected_failure(abort_code = attestation::EMeasurementDiffers)]
fun another_image_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    let other = attestation::claim_for_testing(x"01", x"02", x"04", option::some(world::key()), 0);
    w.attest(world::admin(), id, other);
    abort
}

#[test, expected_failure(abort_code = attestation::EDebugEnclave)]
fun an_enclave_in_debug_mode_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    let debug = attestation::claim_for_testing(
        x"0000",
        x"02",
        x"03",
        option::some(world::key()),
        0,
    );
    w.attest(world::admin(), id, debug);
    abort
}

#[test, expected_failure(abort_code = attestation::EMeasurementDiffers)]
fun a_register_that_only_begins_with_zeros_is_no_debug_mode() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    let other = attestation::claim_for_testing(x"0001", b"", b"", option::some(world::key()), 0);
    w.attest(world::admin(), id, other);
    abort
}

#[test, expected_failure(abort_code = attestation::EEnclaveKey)]
fun a_document_without_key_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    w.attest(world::admin(), id, with_key(option::none(), 0));
    abort
}

#[test, expected_failure(abort_code = attestation::EEnclaveKey)]
fun a_key_of_31_bytes_is_refused() {
    let mut w = world::begin();
    let id = nitro_gateway(&mut w);
    let mut key = world::key();
    key.pop_back();
    w.attest(world::admin(), id, with_key(option::some(key), 0));
    abort
}

fun nitro_gateway(w: &mut World): ID {
    w.register_gateway(
        world::admin(),
        b"https://enclave",
        vector[],
        b"nitro",
        measured(),
        world::key(),
        0,
    )
}

fun measured(): vector<u8> { attestation::measurement(x"01", x"02", x"03") }

fun claim(timestamp_ms: u64): Claim { with_key(option::some(world::key()), timestamp_ms) }

fun with_key(key: Option<vector<u8>>, timestamp_ms: u64): Claim {
    attestation::claim_for_testing(x"01", x"02", x"03", key, timestamp_ms)
}
