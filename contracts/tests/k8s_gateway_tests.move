/// Seal tokens: who gets one, with what permissions, and what ends it.
#[test_only]
module k3s_daas::k8s_gateway_tests;

use k3s_daas::k8s_gateway;
use k3s_daas::staking;
use k3s_daas::world::{Self, World};
use std::bcs;
use std::string::String;
use std::unit_test::assert_eq;

use fun world::and as vector.and;

const MAX_STAKE: u64 = 1_000_000_000_000_000_000;

// === A worker's token ===

#[test]
fun a_worker_token_binds_stake_node_and_key() {
    let mut w = world::begin();
    w.epochs(3);
    let mut r = w.stake_node(world::alice(), 1_234, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert_eq!(token.owner(), world::alice());
    assert_eq!(token.cluster(), w.cluster_id());
    assert_eq!(token.stake_id(), object::id(&r));
    assert_eq!(*token.node_id(), b"n1".to_string());
    assert_eq!(*token.holder_key(), world::key());
    assert_eq!(token.stake_amount(), 1_234);
    assert_eq!(*token.permissions(), worker());
    assert_eq!(token.issued_epoch(), 3);
    assert_eq!(token.expires_at(), 103);
    assert_eq!(token.gateway_tier(), 1);
    assert_eq!(token.sequence(), 1);
    assert_eq!(token.token_hash().length(), 37);
    assert_eq!(r.token(), option::some(object::id(&token)));
    assert_eq!(r.token_sequence(), 1);
    assert!(w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun minting_says_all_in_its_event() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.tx(world::alice());
    w.worker_token_in_this_transaction(&mut r, world::key());
    let event = world::only_event<k8s_gateway::SealTokenCreated>();
    let token = w.newest_token(world::alice());
    assert_eq!(
        event,
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&object::id(&token))
            .and(token.token_hash())
            .and(&world::alice())
            .and(&b"n1")
            .and(&world::key())
            .and(&1_000u64)
            .and(&worker())
            .and(&0u64)
            .and(&100u64)
            .and(&1u8)
            .and(&1u64),
    );
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

/// The expected name was computed apart from this code: SHA-256 over the digest (the number of the transaction, little
/// endian, in 32 bytes), the object id (BLAKE2b-256 over 0xf1, the digest, and the count of ids before it as u64) and
/// the time as u64; its first 16 bytes. Transaction 4, first id, time 77.
#[test]
fun the_public_name_is_the_hash_of_digest_id_and_time() {
    let mut w = world::begin();
    w.at(77);
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    // begin: 0 and 1; stake_node: 2 and 3.
    w.tx(world::alice());
    assert_eq!(bcs::to_bytes(w.ctx().digest())[1], 4);
    w.worker_token_in_this_transaction(&mut r, world::key());
    let token = w.newest_token(world::alice());
    assert_eq!(*token.token_hash(), b"seal_0e84e1c12142efe648340fb702dd50fb".to_string());
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_worker_gets_no_more_than_a_worker_needs() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 10_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert_eq!(*token.permissions(), worker());
    assert_eq!(token.gateway_tier(), 2);
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_worker_gets_pods_write_only_where_its_tier_grants_it() {
    let mut w = world::begin_with(world::draft()
        .with_permissions(vector[
            world::words(vector[b"nodes:write"]),
            world::words(vector[b"pods:write"]),
            world::words(vector[b"*:*"]),
        ])
        .with_minimum(100));
    let mut r = w.stake_node(world::alice(), 999, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert_eq!(*token.permissions(), world::words(vector[b"nodes:write"]));
    assert_eq!(token.gateway_tier(), 0);
    w.top_up(world::alice(), &mut r, 10);
    let token = w.rotate(world::alice(), &mut r, token, world::key());
    assert_eq!(*token.permissions(), worker());
    assert_eq!(token.gateway_tier(), 1);
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_else_mints_from_a_stake() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let _t = w.worker_token(world::mallory(), &mut r, world::key());
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun an_unbonding_stake_gets_no_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    let _t = w.worker_token(world::alice(), &mut r, world::key());
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun a_stake_below_a_raised_minimum_gets_no_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(world::admin(), world::draft().with_minimum(1_001));
    w.at(world::delay());
    let _t = w.worker_token(world::alice(), &mut r, world::key());
    abort
}

#[test]
fun a_stake_topped_up_to_a_raised_minimum_gets_its_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(world::admin(), world::draft().with_minimum(1_010));
    w.at(world::delay());
    w.top_up(world::alice(), &mut r, 10);
    let token = w.worker_token(world::alice(), &mut r, world::key());
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun another_cluster_gives_no_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    let _t = w.worker_token(world::alice(), &mut r, world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::ENotNodeStake)]
fun a_user_stake_gets_no_worker_token() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    let _t = w.worker_token(world::alice(), &mut r, world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::ETokenExists)]
fun a_record_has_one_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let _t = w.worker_token(world::alice(), &mut r, world::key());
    let _u = w.worker_token(world::alice(), &mut r, world::key_2());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::ETokenExists)]
fun an_expired_token_is_in_the_way_of_a_new_one() {
    let mut w = world::begin_with(world::draft().with_token_epochs(1));
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let t = w.worker_token(world::alice(), &mut r, world::key());
    w.epochs(2);
    assert!(!w.is_valid(&r, &t));
    let _u = w.worker_token(world::alice(), &mut r, world::key_2());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EHolderKeyLength)]
fun a_key_of_31_bytes_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let _t = w.worker_token(world::alice(), &mut r, short_key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EHolderKeyLength)]
fun a_key_of_33_bytes_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let _t = w.worker_token(world::alice(), &mut r, long_key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EHolderKeyLength)]
fun an_empty_key_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    let _t = w.user_token(world::alice(), &mut r, vector[b"pods:read"], vector[]);
    abort
}

// === Tokens of users and admins ===

#[test]
fun a_user_gets_exactly_what_was_asked_for() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    w.tx(world::alice());
    w.user_token_in_this_transaction(&mut r, vector[b"pods:write", b"pods:read"], world::key());
    let event = world::only_event<k8s_gateway::SealTokenCreated>();
    let token = w.newest_token(world::alice());
    let permissions = world::words(vector[b"pods:write", b"pods:read"]);
    assert_eq!(
        event,
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&object::id(&token))
            .and(token.token_hash())
            .and(&world::alice())
            .and(&b"")
            .and(&world::key())
            .and(&1_000u64)
            .and(&permissions)
            .and(&0u64)
            .and(&100u64)
            .and(&1u8)
            .and(&1u64),
    );
    assert_eq!(*token.permissions(), permissions);
    assert!(token.node_id().is_empty());
    assert!(w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun all_means_any_permission_that_is_asked_for() {
    let mut w = world::begin();
    let mut r = w.stake_admin(world::alice(), 10_000);
    let token = w.user_token(world::alice(), &mut r, vector[b"secrets:list", b"*:*"], world::key());
    assert_eq!(*token.permissions(), world::words(vector[b"secrets:list", b"*:*"]));
    assert_eq!(token.gateway_tier(), 2);
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun sixteen_permissions_may_be_asked_for() {
    let mut w = world::begin();
    let mut r = w.stake_admin(world::alice(), 10_000);
    let token = w.user_token(world::alice(), &mut r, many(16), world::key());
    assert_eq!(token.permissions().length(), 16);
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test, expected_failure(abort_code = k8s_gateway::EPermissionCount)]
fun seventeen_permissions_are_refused() {
    let mut w = world::begin();
    let mut r = w.stake_admin(world::alice(), 10_000);
    let _t = w.user_token(world::alice(), &mut r, many(17), world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EPermissionCount)]
fun no_permission_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    let _t = w.user_token(world::alice(), &mut r, vector[], world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EPermissionForm)]
fun a_malformed_permission_is_refused_even_where_all_is_granted() {
    let mut w = world::begin();
    let mut r = w.stake_admin(world::alice(), 10_000);
    let _t = w.user_token(world::alice(), &mut r, vector[b"Pods:read"], world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EPermissionForm)]
fun a_permission_asked_for_twice_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    let _t = w.user_token(
        world::alice(),
        &mut r,
        vector[b"pods:read", b"services:read", b"pods:read"],
        world::key(),
    );
    abort
}

#[test]
fun the_tiers_hold_at_their_exact_edges() {
    let mut w = world::begin();
    let mut at_100 = w.stake_user(world::alice(), 100);
    let mut at_1000 = w.stake_user(world::alice(), 1_000);
    let mut at_10000 = w.stake_user(world::alice(), 10_000);
    let a = w.user_token(
        world::alice(),
        &mut at_100,
        vector[b"pods:read", b"services:read"],
        world::key(),
    );
    let b = w.user_token(
        world::alice(),
        &mut at_1000,
        vector[b"nodes:write", b"pods:read"],
        world::key(),
    );
    let c = w.user_token(world::alice(), &mut at_10000, vector[b"*:*"], world::key());
    assert_eq!(a.gateway_tier(), 0);
    assert_eq!(b.gateway_tier(), 1);
    assert_eq!(c.gateway_tier(), 2);
    world::put(at_100);
    world::put(at_1000);
    world::put(at_10000);
    world::put_token(world::alice(), a);
    world::put_token(world::alice(), b);
    world::put_token(world::alice(), c);
    w.end();
}

#[test, expected_failure(abort_code = k8s_gateway::EPermissionAboveTier)]
fun at_999_there_is_no_write() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 999);
    let _t = w.user_token(
        world::alice(),
        &mut r,
        vector[b"pods:read", b"pods:write"],
        world::key(),
    );
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EPermissionAboveTier)]
fun at_9999_there_is_no_all() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 9_999);
    let _t = w.user_token(world::alice(), &mut r, vector[b"*:*"], world::key());
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun below_a_raised_first_tier_a_user_gets_no_token() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 100);
    w.schedule(world::admin(), world::draft().with_tiers(vector[101, 1_000, 10_000]));
    w.at(world::delay());
    let _t = w.user_token(world::alice(), &mut r, vector[b"pods:read"], world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::ENodeStake)]
fun a_node_stake_gets_no_user_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let _t = w.user_token(world::alice(), &mut r, vector[b"pods:read"], world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::ETokenExists)]
fun a_user_record_has_one_token() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    let _t = w.user_token(world::alice(), &mut r, vector[b"pods:read"], world::key());
    let _u = w.user_token(world::alice(), &mut r, vector[b"pods:read"], world::key());
    abort
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_else_mints_from_a_user_stake() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 1_000);
    let _t = w.user_token(world::bob(), &mut r, vector[b"pods:read"], world::key());
    abort
}

// === Rotation ===

#[test]
fun a_rotation_replaces_the_token_and_its_key() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let previous = object::id(&token);
    w.epochs(5);
    w.tx(world::alice());
    w.rotate_in_this_transaction(&mut r, token, world::key_2());
    let event = world::only_event<k8s_gateway::SealTokenRotated>();
    assert_eq!(world::count_events<k8s_gateway::SealTokenCreated>(), 0);
    assert_eq!(world::count_events<k8s_gateway::SealTokenRevoked>(), 0);
    let token = w.newest_token(world::alice());
    assert_eq!(
        event,
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&3u64)
            .and(&previous)
            .and(&object::id(&token))
            .and(token.token_hash())
            .and(&world::alice())
            .and(&b"n1")
            .and(&world::key_2())
            .and(&1_000u64)
            .and(&worker())
            .and(&5u64)
            .and(&105u64)
            .and(&1u8)
            .and(&2u64),
    );
    assert!(object::id(&token) != previous);
    assert_eq!(*token.holder_key(), world::key_2());
    assert_eq!(token.sequence(), 2);
    assert_eq!(token.issued_epoch(), 5);
    assert_eq!(token.expires_at(), 105);
    assert_eq!(r.token(), option::some(object::id(&token)));
    assert_eq!(r.token_sequence(), 2);
    // The old one is deleted: the staker has this one alone.
    world::put_token(world::alice(), token);
    w.tx(world::alice());
    assert_eq!(w.scenario().ids_for_sender<k8s_gateway::SealToken>().length(), 1);
    world::put(r);
    w.end();
}

#[test]
fun an_expired_token_is_rotated() {
    let mut w = world::begin_with(world::draft().with_token_epochs(1));
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert!(w.is_valid(&r, &token));
    w.epochs(1);
    assert!(!w.is_valid(&r, &token));
    let token = w.rotate(world::alice(), &mut r, token, world::key());
    assert!(w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_rotation_keeps_what_the_tier_still_grants() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_user(world::alice(), 1_000);
    let token = w.user_token(
        world::alice(),
        &mut r,
        vector[b"pods:write", b"pods:read"],
        world::key(),
    );
    let p = w.propose(world::s1(), &mut r, 1);
    assert_eq!(r.balance_mist(), 999);
    assert!(r.is_active());
    let token = w.rotate(world::alice(), &mut r, token, world::key_2());
    assert_eq!(*token.permissions(), world::words(vector[b"pods:read"]));
    assert_eq!(token.gateway_tier(), 0);
    assert_eq!(token.stake_amount(), 999);
    // A higher stake brings nothing back that the token does not have: that takes a new one.
    w.top_up(world::alice(), &mut r, 10_000);
    let token = w.rotate(world::alice(), &mut r, token, world::key());
    assert_eq!(*token.permissions(), world::words(vector[b"pods:read"]));
    assert_eq!(token.gateway_tier(), 2);
    world::put(r);
    world::put_token(world::alice(), token);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = k8s_gateway::ENoPermissionLeft)]
fun a_rotation_to_no_permission_at_all_is_refused() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_user(world::alice(), 1_000);
    let token = w.user_token(world::alice(), &mut r, vector[b"pods:write"], world::key());
    let _p = w.propose(world::s1(), &mut r, 1);
    let _t = w.rotate(world::alice(), &mut r, token, world::key_2());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::ETokenNotLive)]
fun a_dead_token_is_not_rotated() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let dead = dead_token(&mut w, &mut r);
    let _t = w.rotate(world::alice(), &mut r, dead, world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EWrongToken)]
fun a_token_is_not_rotated_on_another_record() {
    let mut w = world::begin();
    let mut a = w.stake_node(world::alice(), 1_000, b"n1");
    let mut b = w.stake_node(world::alice(), 1_000, b"n2");
    let token = w.worker_token(world::alice(), &mut a, world::key());
    let _u = w.worker_token(world::alice(), &mut b, world::key());
    let _t = w.rotate(world::alice(), &mut b, token, world::key());
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_token_is_not_rotated_in_another_cluster() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    let _t = w.rotate(world::alice(), &mut r, token, world::key());
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun the_token_of_an_unbonding_stake_is_not_rotated() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    w.unstake(world::alice(), &mut r);
    let _t = w.rotate(world::alice(), &mut r, token, world::key());
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun below_a_raised_minimum_there_is_no_rotation() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    w.schedule(world::admin(), world::draft().with_minimum(1_001));
    w.at(world::delay());
    assert!(w.is_valid(&r, &token));
    let _t = w.rotate(world::alice(), &mut r, token, world::key());
    abort
}

#[test, expected_failure(abort_code = k8s_gateway::EHolderKeyLength)]
fun a_rotation_to_a_key_of_33_bytes_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let _t = w.rotate(world::alice(), &mut r, token, long_key());
    abort
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_else_rotates() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let _t = w.rotate(world::mallory(), &mut r, token, world::key());
    abort
}

// === Revocation ===

#[test]
fun a_revoked_token_is_gone_and_makes_room() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let id = object::id(&token);
    w.revoke(world::alice(), &mut r, token);
    assert_eq!(
        world::only_event<k8s_gateway::SealTokenRevoked>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&3u64)
            .and(&id)
            .and(&world::alice())
            .and(&b"n1"),
    );
    assert!(r.token().is_none());
    assert!(r.is_active());
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert_eq!(token.sequence(), 2);
    world::put_token(world::alice(), token);
    w.tx(world::alice());
    assert_eq!(w.scenario().ids_for_sender<k8s_gateway::SealToken>().length(), 1);
    world::put(r);
    w.end();
}

#[test]
fun a_dead_token_is_deleted_without_touching_the_record() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let dead = w.worker_token(world::alice(), &mut r, world::key());
    w.unstake(world::alice(), &mut r);
    let id = object::id(&dead);
    let before = w.cluster().change_seq();
    w.revoke(world::alice(), &mut r, dead);
    assert_eq!(
        world::only_event<k8s_gateway::SealTokenRevoked>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&0u64)
            .and(&id)
            .and(&world::alice())
            .and(&b"n1"),
    );
    assert_eq!(w.cluster().change_seq(), before);
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = k8s_gateway::EWrongToken)]
fun a_token_is_not_revoked_on_another_record() {
    let mut w = world::begin();
    let mut a = w.stake_node(world::alice(), 1_000, b"n1");
    let mut b = w.stake_node(world::alice(), 1_000, b"n2");
    let token = w.worker_token(world::alice(), &mut a, world::key());
    w.revoke(world::alice(), &mut b, token);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_token_is_not_revoked_in_another_cluster() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.revoke(world::alice(), &mut r, token);
    abort
}

// === Validity ===

#[test]
fun a_token_is_valid_until_its_epoch() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    w.epochs(99);
    assert!(w.is_valid(&r, &token));
    w.epochs(1);
    assert!(!w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_token_is_valid_for_its_own_record_and_cluster_alone() {
    let mut w = world::begin();
    let mut a = w.stake_node(world::alice(), 1_000, b"n1");
    let mut b = w.stake_node(world::alice(), 1_000, b"n2");
    let s = w.worker_token(world::alice(), &mut a, world::key());
    let t = w.worker_token(world::alice(), &mut b, world::key());
    assert!(w.is_valid(&a, &s));
    assert!(w.is_valid(&b, &t));
    assert!(!w.is_valid(&a, &t));
    assert!(!w.is_valid(&b, &s));
    let other = w.other_cluster();
    let (mut w, first) = w.swap_cluster(other);
    assert!(!w.is_valid(&a, &s));
    world::put(a);
    world::put(b);
    world::put_token(world::alice(), s);
    world::put_token(world::alice(), t);
    world::put_cluster(first);
    w.end();
}

#[test]
fun no_token_counts_in_a_cluster_of_another_version() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert!(w.is_valid(&r, &token));
    w.cluster_mut().set_version_for_testing(2);
    assert!(!w.is_valid(&r, &token));
    w.cluster_mut().set_version_for_testing(0);
    assert!(!w.is_valid(&r, &token));
    w.cluster_mut().set_version_for_testing(1);
    assert!(w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_token_that_says_more_than_its_stake_is_worth_counts_no_more() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_user(world::alice(), 10_001);
    let token = w.user_token(
        world::alice(),
        &mut r,
        vector[b"pods:read", b"nodes:write", b"a:b"],
        world::key(),
    );
    assert!(w.is_valid(&r, &token));
    // At the edge of the tier all of it is granted, one below the last of the three is not.
    let p = w.propose(world::s1(), &mut r, 1);
    assert!(w.is_valid(&r, &token));
    let q = w.propose(world::s1(), &mut r, 1);
    assert!(r.is_active());
    assert_eq!(r.token(), option::some(object::id(&token)));
    assert!(!w.is_valid(&r, &token));
    // What is left is granted to the next token.
    let token = w.rotate(world::alice(), &mut r, token, world::key());
    assert_eq!(*token.permissions(), world::words(vector[b"pods:read", b"nodes:write"]));
    assert!(w.is_valid(&r, &token));
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_token_counts_under_the_tiers_in_force() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_500, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    w.schedule(
        world::admin(),
        world::draft().with_tiers(vector[100, 2_000, 10_000]).with_minimum(2_000),
    );
    w.at(world::delay() - 1);
    assert!(w.is_valid(&r, &token));
    w.at(world::delay());
    assert!(!w.is_valid(&r, &token));
    w.top_up(world::alice(), &mut r, 500);
    assert!(w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_forced_unstake_kills_the_token() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    w.force_unstake(world::admin(), &mut r);
    assert!(!w.is_valid(&r, &token));
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun the_largest_stake_gets_the_highest_tier() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), MAX_STAKE, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    assert_eq!(token.gateway_tier(), 2);
    assert_eq!(token.stake_amount(), MAX_STAKE);
    world::put(r);
    world::put_token(world::alice(), token);
    w.end();
}

/// A token of the record that is not its live one any more.
fun dead_token(w: &mut World, record: &mut staking::StakeRecord): k8s_gateway::SealToken {
    let token = w.worker_token(world::alice(), record, world::key());
    // What only the package can do: no call from outside leads to a dead token of an active record.
    record.unbind_token();
    token
}

fun worker(): vector<String> { world::words(vector[b"nodes:write", b"pods:write"]) }

fun short_key(): vector<u8> {
    let mut key = world::key();
    key.pop_back();
    key
}

fun long_key(): vector<u8> {
    let mut key = world::key();
    key.push_back(1);
    key
}

fun many(count: u64): vector<vector<u8>> {
    let mut list = vector[];
    let mut i = 0;
    while (i < count) {
        let mut name = b"r";
        name.push_back(97 + (i as u8));
        name.append(b":get");
        list.push_back(name);
        i = i + 1;
    };
    list
}

#[test]
fun a_stake_that_slashes_have_left_below_the_minimum_does_not_count() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 3_000, b"n1");
    let mut s = w.stake_node(world::alice(), 1_500, b"n2");
    let t = w.worker_token(world::alice(), &mut r, world::key());
    let u = w.worker_token(world::alice(), &mut s, world::key_2());
    w.schedule(world::admin(), world::draft().with_threshold(1).with_minimum(2_000));
    w.at(world::delay());
    let parameters = w.in_force();
    // At the minimum in force the slashed one counts; one below, it does not, and stays active.
    let p = w.propose(world::s1(), &mut r, 1_000);
    assert!(!r.is_short_after_slash(&parameters));
    assert!(w.is_valid(&r, &t));
    let q = w.propose(world::s1(), &mut r, 1);
    assert!(r.is_active());
    assert!(r.is_short_after_slash(&parameters));
    assert!(!w.is_valid(&r, &t));
    // One that only the raised minimum has overtaken counts.
    assert!(!s.is_short_after_slash(&parameters));
    assert!(w.is_valid(&s, &u));
    w.top_up(world::alice(), &mut r, 10);
    assert!(!r.is_short_after_slash(&parameters));
    assert!(w.is_valid(&r, &t));
    world::put(r);
    world::put(s);
    world::put_token(world::alice(), t);
    world::put_token(world::alice(), u);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun stake_and_token_are_one_transaction() {
    let mut w = world::begin();
    w.tx(world::alice());
    let mut r = w.new_node_record(1_000, b"n1", 1);
    w.worker_token_in_this_transaction(&mut r, world::key());
    assert_eq!(r.token_sequence(), 1);
    assert_eq!(r.last_sequence(), 2);
    staking::share(r);
    let token = w.newest_token(world::alice());
    assert_eq!(token.sequence(), 1);
    world::put_token(world::alice(), token);
    w.end();
}
