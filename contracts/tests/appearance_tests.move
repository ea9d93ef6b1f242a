/// What a wallet is told when the package is published.
#[test_only]
module k3s_daas::appearance_tests;

use k3s_daas::appearance;
use k3s_daas::k8s_gateway::SealToken;
use k3s_daas::staking::StakeRecord;
use k3s_daas::world;
use std::bcs;
use std::unit_test::assert_eq;
use sui::display::VersionUpdated;
use sui::test_scenario;

#[test]
fun both_objects_get_a_frozen_name_and_description() {
    let mut s = test_scenario::begin(world::alice());
    appearance::init_for_testing(s.ctx());
    let record = world::only_event<VersionUpdated<StakeRecord>>();
    let token = world::only_event<VersionUpdated<SealToken>>();
    let effects = s.next_tx(world::alice());
    assert_eq!(effects.frozen().length(), 2);
    // Neither a publisher nor a display is left to change anything with.
    assert_eq!(effects.created().length(), 2);
    // Behind the id: version 1, two fields, the first with its value.
    assert!(has(&record, first(b"Stake for {stake_type} {node_id}")));
    assert!(has(&token, first(b"{token_hash}")));
    s.end();
}

fun first(value: vector<u8>): vector<u8> {
    let mut bytes = bcs::to_bytes(&1u16);
    bytes.push_back(2);
    bytes.append(bcs::to_bytes(&b"name"));
    bytes.append(bcs::to_bytes(&value));
    bytes
}

/// Whether these bytes stand behind an id.
fun has(event: &vector<u8>, expected: vector<u8>): bool {
    let mut i = 0;
    while (i < expected.length()) {
        if (event[32 + i] != expected[i]) return false;
        i = i + 1;
    };
    true
}
