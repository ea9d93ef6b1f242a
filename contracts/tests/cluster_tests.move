/// The cluster itself: its making, the admin's role, and the gateways.
#[test_only]
module k3s_daas::cluster_tests;

use k3s_daas::cluster::{Self, Cluster, Rings};
use k3s_daas::world::{Self, World};
use std::bcs;
use std::unit_test::assert_eq;
use sui::test_scenario;

use fun world::and as vector.and;

#[test]
fun anybody_creates_a_cluster_and_is_its_admin() {
    let mut s = test_scenario::begin(world::alice());
    let parameters = world::draft().checked();
    let made = cluster::create_cluster(parameters, s.ctx());
    let id = object::id(&made);
    cluster::share(made);
    assert_eq!(
        world::only_event<cluster::ClusterCreated>(),
        bcs::to_bytes(&id).and(&world::alice()).and(&parameters),
    );
    s.next_tx(world::alice());
    let c = s.take_shared_by_id<Cluster>(id);
    assert_eq!(c.admin(), world::alice());
    assert!(c.offered_admin().is_none());
    assert_eq!(*c.stored_parameters(), parameters);
    assert_eq!(c.parameters_at(0), parameters);
    assert!(c.pending().is_none());
    assert_eq!(c.earlier_unlock_ms(), 0);
    assert!(c.gateways().is_empty());
    assert_eq!(c.node_count(), 0);
    assert!(c.record_of_node(b"n1".to_string()).is_none());
    assert_eq!(c.change_seq(), 0);
    assert_eq!(c.version(), 1);
    assert_eq!(c.terms_version(), 1);
    assert!(c.servers().is_empty());
    assert!(c.ca_hashes().is_empty());
    assert!(c.reserved_for(b"n1".to_string()).is_none());
    assert_empty(c.node_rings());
    assert_empty(c.account_rings());
    test_scenario::return_shared(c);
    s.end();
}

fun assert_empty(rings: &Rings) {
    assert!(rings.forced().entries().is_empty());
    assert!(rings.ended().entries().is_empty());
    assert!(rings.other().entries().is_empty());
    assert_eq!(rings.forced().dropped_seq(), 0);
    assert_eq!(rings.ended().dropped_seq(), 0);
    assert_eq!(rings.other().dropped_seq(), 0);
}

// === Admin ===

#[test]
fun the_admin_role_goes_over_in_two_steps() {
    let mut w = world::begin();
    w.at(5);
    w.offer_admin(world::admin(), world::alice());
    assert_eq!(
        world::only_event<cluster::AdminOffered>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&world::admin())
            .and(&world::alice())
            .and(&(5 + 7 * world::day())),
    );
    assert_eq!(w.cluster().admin(), world::admin());
    let offer = w.cluster().offered_admin().destroy_some();
    assert_eq!(offer.offered_to(), world::alice());
    assert_eq!(offer.offer_expires_at_ms(), 5 + 7 * world::day());
    w.at(5 + 7 * world::day() - 1);
    w.accept_admin(world::alice());
    assert_eq!(
        world::only_event<cluster::AdminChanged>(),
        bcs::to_bytes(&w.cluster_id()).and(&world::admin()).and(&world::alice()),
    );
    assert_eq!(w.cluster().admin(), world::alice());
    assert!(w.cluster().offered_admin().is_none());
    // The new admin has the role.
    w.schedule(world::alice(), world::draft());
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun the_old_admin_has_lost_the_role() {
    let mut w = world::begin();
    w.offer_admin(world::admin(), world::alice());
    w.accept_admin(world::alice());
    w.schedule(world::admin(), world::draft());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotOfferedAdmin)]
fun an_offer_is_for_one_address() {
    let mut w = world::begin();
    w.offer_admin(world::admin(), world::alice());
    w.accept_admin(world::mallory());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotOfferedAdmin)]
fun a_new_offer_replaces_the_last() {
    let mut w = world::begin();
    w.offer_admin(world::admin(), world::alice());
    w.offer_admin(world::admin(), world::bob());
    w.accept_admin(world::alice());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotOfferedAdmin)]
fun an_offer_is_used_once() {
    let mut w = world::begin();
    w.offer_admin(world::admin(), world::alice());
    w.accept_admin(world::alice());
    w.accept_admin(world::alice());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotOfferedAdmin)]
fun without_an_offer_nobody_becomes_admin() {
    let mut w = world::begin();
    w.accept_admin(world::mallory());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_offers_the_role() {
    let mut w = world::begin();
    w.offer_admin(world::mallory(), world::mallory());
    abort
}

#[test, expected_failure(abort_code = cluster::EOfferExpired)]
fun an_offer_ends_after_a_week() {
    let mut w = world::begin();
    w.at(5);
    w.offer_admin(world::admin(), world::alice());
    w.at(5 + 7 * world::day());
    w.accept_admin(world::alice());
    abort
}

// === Version ===

#[test, expected_failure(abort_code = cluster::EWrongVersion)]
fun the_admin_changes_no_cluster_of_another_version() {
    let mut w = world::begin();
    w.cluster_mut().set_version_for_testing(2);
    w.offer_admin(world::admin(), world::alice());
    abort
}

#[test, expected_failure(abort_code = cluster::EWrongVersion)]
fun nobody_becomes_admin_of_a_cluster_of_another_version() {
    let mut w = world::begin();
    w.offer_admin(world::admin(), world::alice());
    w.cluster_mut().set_version_for_testing(2);
    w.accept_admin(world::alice());
    abort
}

#[test, expected_failure(abort_code = cluster::EWrongVersion)]
fun no_treasury_accepts_in_a_cluster_of_another_version() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_treasury(world::treasury_2()));
    w.cluster_mut().set_version_for_testing(2);
    w.accept_treasury(world::treasury_2());
    abort
}

#[test, expected_failure(abort_code = cluster::EWrongVersion)]
fun nothing_is_settled_in_a_cluster_of_another_version() {
    let mut w = world::begin();
    w.cluster_mut().set_version_for_testing(2);
    w.settle(world::admin());
    abort
}

// === Servers ===

#[test]
fun servers_and_ca_hashes_are_named_together() {
    let mut w = world::begin();
    let servers = vector[b"https://a", b"https://b", b"https://c", url(256)];
    w.set_servers(world::admin(), servers, vector[world::key(), world::key_2()]);
    assert_eq!(
        world::only_event<cluster::ServersChanged>(),
        bcs::to_bytes(&w.cluster_id()).and(&servers).and(&vector[world::key(), world::key_2()]),
    );
    assert_eq!(*w.cluster().servers(), world::words(servers));
    assert_eq!(*w.cluster().ca_hashes(), vector[world::key(), world::key_2()]);
    w.set_servers(world::admin(), vector[], vector[]);
    assert!(w.cluster().servers().is_empty());
    assert!(w.cluster().ca_hashes().is_empty());
    w.end();
}

#[test, expected_failure(abort_code = cluster::EServers)]
fun a_fifth_server_is_refused() {
    let mut w = world::begin();
    let servers = vector[b"https://a", b"https://b", b"https://c", b"https://d", b"https://e"];
    w.set_servers(world::admin(), servers, vector[]);
    abort
}

#[test, expected_failure(abort_code = cluster::EServers)]
fun a_server_without_tls_is_refused() {
    let mut w = world::begin();
    w.set_servers(world::admin(), vector[b"https://a", b"http://b"], vector[]);
    abort
}

#[test, expected_failure(abort_code = cluster::EServers)]
fun the_same_server_twice_is_refused() {
    let mut w = world::begin();
    w.set_servers(world::admin(), vector[b"https://a", b"https://b", b"https://a"], vector[]);
    abort
}

#[test, expected_failure(abort_code = cluster::ECaHashes)]
fun the_same_ca_hash_twice_is_refused() {
    let mut w = world::begin();
    w.set_servers(world::admin(), vector[], vector[world::key(), world::key()]);
    abort
}

#[test, expected_failure(abort_code = cluster::ECaHashes)]
fun a_ca_hash_of_33_bytes_is_refused() {
    let mut w = world::begin();
    w.set_servers(world::admin(), vector[], vector[bytes(33)]);
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_names_servers() {
    let mut w = world::begin();
    w.set_servers(world::mallory(), vector[], vector[]);
    abort
}

// === Gateways ===

#[test, expected_failure(abort_code = cluster::EGatewayExists)]
fun an_endpoint_is_registered_once() {
    let mut w = world::begin();
    w.next_gateway(world::admin());
    w.good_gateway(world::admin());
    w.register_gateway(
        world::admin(),
        b"https://gw.example:8443",
        vector[],
        b"tsm",
        b"",
        world::key(),
        0,
    );
    abort
}

#[test, expected_failure(abort_code = cluster::EGatewayExists)]
fun a_signing_key_is_registered_once() {
    let mut w = world::begin();
    w.next_gateway(world::admin());
    w.good_gateway(world::admin());
    w.register_gateway(world::admin(), b"https://gw", vector[], b"tsm", b"", world::key_2(), 0);
    abort
}

#[test]
fun a_retired_gateway_may_come_back() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    w.set_gateway_status(world::admin(), id, 2);
    let again = w.good_gateway(world::admin());
    assert!(again != id);
    assert_eq!(w.cluster().gateway(again).gateway_id(), again);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENoSuchGateway)]
fun a_gateway_that_is_not_there_is_not_read() {
    let mut w = world::begin();
    let id = w.cluster_id();
    w.next_gateway(world::admin());
    let _ = w.cluster().gateway(id).gateway_id();
    abort
}

#[test]
fun a_gateway_is_registered_live() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    let g = &w.cluster().gateways()[0];
    assert_eq!(
        world::only_event<cluster::GatewayRegistered>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&id)
            .and(&b"https://gw.example:8443")
            .and(&vector[world::key()])
            .and(&b"tsm")
            .and(&x"0102")
            .and(&world::key_2())
            .and(&1u8)
            .and(&0u8)
            .and(&option::none<vector<u8>>()),
    );
    assert_eq!(g.gateway_id(), id);
    assert_eq!(*g.endpoint(), b"https://gw.example:8443".to_string());
    assert_eq!(*g.tls_pins(), vector[world::key()]);
    assert_eq!(*g.attestation_kind(), b"tsm".to_string());
    assert_eq!(*g.attestation_measurement(), x"0102");
    assert_eq!(*g.signing_key(), world::key_2());
    assert_eq!(g.gateway_tier(), 1);
    assert_eq!(g.gateway_status(), 0);
    w.end();
}

#[test]
fun gateways_keep_their_order_and_have_different_ids() {
    let mut w = world::begin();
    let a = w.next_gateway(world::admin());
    let b = w.next_gateway(world::admin());
    let c = w.next_gateway(world::admin());
    assert!(a != b && b != c && a != c);
    w.set_gateway_status(world::admin(), b, 1);
    assert_eq!(
        world::only_event<cluster::GatewayStatusChanged>(),
        bcs::to_bytes(&w.cluster_id()).and(&b).and(&1u8),
    );
    assert_eq!(statuses(&w), vector[0, 1, 0]);
    w.set_gateway_status(world::admin(), b, 0);
    assert_eq!(statuses(&w), vector[0, 0, 0]);
    w.set_gateway_status(world::admin(), a, 1);
    w.set_gateway_status(world::admin(), c, 1);
    assert_eq!(statuses(&w), vector[1, 0, 1]);
    w.set_gateway_status(world::admin(), b, 2);
    assert_eq!(
        world::only_event<cluster::GatewayStatusChanged>(),
        bcs::to_bytes(&w.cluster_id()).and(&b).and(&2u8),
    );
    assert_eq!(w.cluster().gateways().length(), 2);
    assert_eq!(w.cluster().gateways()[0].gateway_id(), a);
    assert_eq!(w.cluster().gateways()[1].gateway_id(), c);
    w.end();
}

#[test]
fun pins_are_replaced() {
    let mut w = world::begin();
    let a = w.next_gateway(world::admin());
    let b = w.next_gateway(world::admin());
    w.set_gateway_pins(world::admin(), b, vector[world::key(), world::key_2()]);
    assert_eq!(
        world::only_event<cluster::GatewayPinsChanged>(),
        bcs::to_bytes(&w.cluster_id()).and(&b).and(&vector[world::key(), world::key_2()]),
    );
    assert_eq!(*w.cluster().gateways()[0].tls_pins(), vector[world::key()]);
    assert_eq!(*w.cluster().gateways()[1].tls_pins(), vector[world::key(), world::key_2()]);
    w.set_gateway_pins(world::admin(), a, vector[]);
    assert!(w.cluster().gateways()[0].tls_pins().is_empty());
    w.end();
}

#[test]
fun a_gateway_may_use_every_bound() {
    let mut w = world::begin();
    register(&mut w, url(256), b"a-9-zaaaaaaaaaaaaaaaaaaaaaaaaaaa", bytes(128), 2);
    register(&mut w, b"https://~", b"x", b"", 0);
    assert_eq!(w.cluster().gateways()[0].attestation_kind().length(), 32);
    assert_eq!(w.cluster().gateways().length(), 2);
    w.end();
}

#[test]
fun there_may_be_32_gateways() {
    let mut w = world::begin();
    let mut last = w.next_gateway(world::admin());
    let mut i = 1;
    while (i < 32) {
        last = w.next_gateway(world::admin());
        i = i + 1;
    };
    assert_eq!(w.cluster().gateways().length(), 32);
    // A retired one makes room.
    w.set_gateway_status(world::admin(), last, 2);
    w.next_gateway(world::admin());
    assert_eq!(w.cluster().gateways().length(), 32);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ETooManyGateways)]
fun the_33rd_gateway_is_refused() {
    let mut w = world::begin();
    let mut i = 0;
    while (i < 33) {
        w.next_gateway(world::admin());
        i = i + 1;
    };
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_registers_a_gateway() {
    let mut w = world::begin();
    w.good_gateway(world::mallory());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_sets_a_status() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    w.set_gateway_status(world::mallory(), id, 1);
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_sets_pins() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    w.set_gateway_pins(world::mallory(), id, vector[]);
    abort
}

#[test, expected_failure(abort_code = cluster::ENoSuchStatus)]
fun there_is_no_fourth_status() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    w.set_gateway_status(world::admin(), id, 3);
    abort
}

#[test, expected_failure(abort_code = cluster::ENoSuchGateway)]
fun a_retired_gateway_is_gone() {
    let mut w = world::begin();
    w.next_gateway(world::admin());
    let id = w.next_gateway(world::admin());
    w.set_gateway_status(world::admin(), id, 2);
    w.set_gateway_status(world::admin(), id, 0);
    abort
}

#[test, expected_failure(abort_code = cluster::ENoSuchGateway)]
fun pins_of_an_unknown_gateway_are_refused() {
    let mut w = world::begin();
    let id = w.cluster_id();
    w.set_gateway_pins(world::admin(), id, vector[]);
    abort
}

#[test, expected_failure(abort_code = cluster::ETlsPins)]
fun three_new_pins_are_refused() {
    let mut w = world::begin();
    let id = w.good_gateway(world::admin());
    w.set_gateway_pins(world::admin(), id, vector[bytes(32), world::key(), world::key_2()]);
    abort
}

#[test, expected_failure(abort_code = cluster::EEndpoint)]
fun an_endpoint_without_tls_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"http://gw.example", b"tsm", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EEndpoint)]
fun an_endpoint_whose_scheme_only_begins_right_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https:/xgw.example", b"tsm", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EEndpoint)]
fun an_endpoint_of_a_scheme_alone_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://", b"tsm", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EEndpoint)]
fun an_endpoint_of_257_characters_is_refused() {
    let mut w = world::begin();
    register(&mut w, url(257), b"tsm", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EEndpoint)]
fun an_endpoint_with_a_blank_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw example", b"tsm", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EEndpoint)]
fun an_endpoint_with_a_control_character_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw\x7f", b"tsm", b"", 0);
    abort
}

#[test]
fun the_first_and_last_printable_characters_are_allowed() {
    let mut w = world::begin();
    register(&mut w, b"https://!~", b"tsm", b"", 0);
    w.end();
}

#[test, expected_failure(abort_code = cluster::EAttestation)]
fun an_attestation_without_kind_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw", b"", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EAttestation)]
fun an_attestation_kind_of_33_characters_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EAttestation)]
fun an_attestation_kind_in_capitals_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw", b"TSM", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EAttestation)]
fun an_attestation_kind_with_a_dot_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw", b"t.m", b"", 0);
    abort
}

#[test, expected_failure(abort_code = cluster::EAttestation)]
fun a_measurement_of_129_bytes_is_refused() {
    let mut w = world::begin();
    register(&mut w, b"https://gw", b"tsm", bytes(129), 0);
    abort
}

#[test, expected_failure(abort_code = cluster::ENoSuchTier)]
fun there_is_no_fourth_tier() {
    let mut w = world::begin();
    register(&mut w, b"https://gw", b"tsm", b"", 3);
    abort
}

#[test, expected_failure(abort_code = cluster::ETlsPins)]
fun three_pins_are_refused() {
    let mut w = world::begin();
    with_pins(&mut w, vector[bytes(32), world::key(), world::key_2()]);
    abort
}

#[test, expected_failure(abort_code = cluster::ETlsPins)]
fun the_same_pin_twice_is_refused() {
    let mut w = world::begin();
    with_pins(&mut w, vector[world::key(), world::key()]);
    abort
}

#[test, expected_failure(abort_code = cluster::ETlsPins)]
fun a_pin_of_31_bytes_is_refused() {
    let mut w = world::begin();
    with_pins(&mut w, vector[bytes(31)]);
    abort
}

#[test, expected_failure(abort_code = cluster::ETlsPins)]
fun a_second_pin_of_33_bytes_is_refused() {
    let mut w = world::begin();
    with_pins(&mut w, vector[world::key(), bytes(33)]);
    abort
}

#[test]
fun no_pin_and_two_pins_are_allowed() {
    let mut w = world::begin();
    with_pins(&mut w, vector[]);
    let id = w.cluster().gateways()[0].gateway_id();
    w.set_gateway_status(world::admin(), id, 2);
    with_pins(&mut w, vector[world::key(), world::key_2()]);
    assert_eq!(w.cluster().gateways().length(), 1);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ESigningKey)]
fun a_signing_key_of_31_bytes_is_refused() {
    let mut w = world::begin();
    w.register_gateway(world::admin(), b"https://gw", vector[], b"tsm", b"", bytes(31), 0);
    abort
}

#[test, expected_failure(abort_code = cluster::ESigningKey)]
fun a_signing_key_of_33_bytes_is_refused() {
    let mut w = world::begin();
    w.register_gateway(world::admin(), b"https://gw", vector[], b"tsm", b"", bytes(33), 0);
    abort
}

fun register(
    w: &mut World,
    endpoint: vector<u8>,
    kind: vector<u8>,
    measurement: vector<u8>,
    tier: u8,
) {
    let key = bcs::to_bytes(&w.ctx().fresh_object_address());
    w.register_gateway(world::admin(), endpoint, vector[], kind, measurement, key, tier);
}

fun with_pins(w: &mut World, pins: vector<vector<u8>>) {
    w.register_gateway(world::admin(), b"https://gw", pins, b"tsm", b"", world::key(), 0);
}

fun statuses(w: &World): vector<u8> {
    let mut list = vector[];
    let mut i = 0;
    while (i < w.cluster().gateways().length()) {
        list.push_back(w.cluster().gateways()[i].gateway_status());
        i = i + 1;
    };
    list
}

fun bytes(count: u64): vector<u8> {
    let mut list = vector[];
    while (list.length() < count) list.push_back(9);
    list
}

fun url(length: u64): vector<u8> {
    let mut list = b"https://";
    while (list.length() < length) list.push_back(97);
    list
}
