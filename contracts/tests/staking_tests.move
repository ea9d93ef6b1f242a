/// Stake records: how coins go in, and the ways out.
#[test_only]
module k3s_daas::staking_tests;

use k3s_daas::cluster;
use k3s_daas::staking;
use k3s_daas::world;
use std::bcs;
use std::unit_test::assert_eq;

use fun world::and as vector.and;

const MAX_STAKE: u64 = 1_000_000_000_000_000_000;

// === Staking ===

#[test]
fun a_node_stake_takes_its_node_id() {
    let mut w = world::begin();
    w.at(7);
    let r = w.stake_node(world::alice(), 1_000, b"worker-1");
    let id = object::id(&r);
    assert_eq!(r.cluster(), w.cluster_id());
    assert_eq!(r.staker(), world::alice());
    assert_eq!(*r.node_id(), b"worker-1".to_string());
    assert_eq!(*r.stake_type(), b"node".to_string());
    assert_eq!(r.balance_mist(), 1_000);
    assert_eq!(r.status(), 0);
    assert_eq!(r.staked_at_ms(), 7);
    assert_eq!(r.unlock_at_ms(), 0);
    assert_eq!(r.hold_until_ms(), 0);
    assert_eq!(r.slashed_amount(), 0);
    assert!(r.slash_reason().is_empty());
    assert!(r.token().is_none());
    assert_eq!(r.token_sequence(), 0);
    assert!(r.open_proposals().is_empty());
    assert_eq!(r.minimum_when_staked_mist(), 1_000);
    assert_eq!(r.last_sequence(), 1);
    assert!(r.is_active());
    assert!(r.is_for_node());
    assert_eq!(w.cluster().node_count(), 1);
    assert_eq!(w.cluster().record_of_node(b"worker-1".to_string()), option::some(id));
    assert!(w.cluster().record_of_node(b"worker-2".to_string()).is_none());
    world::put(r);
    w.end();
}

#[test]
fun staking_says_all_in_its_event() {
    let mut w = world::begin();
    w.at(7);
    w.tx(world::alice());
    let id = w.stake_node_in_this_transaction(1_234, b"worker-1");
    assert_eq!(
        world::only_event<staking::StakeCreated>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&id)
            .and(&1u64)
            .and(&world::alice())
            .and(&b"worker-1")
            .and(&b"node")
            .and(&1_234u64)
            .and(&7u64)
            .and(&1_000u64)
            .and(&1u64),
    );
    w.end();
}

#[test]
fun user_and_admin_stakes_take_no_node_id() {
    let mut w = world::begin();
    let u = w.stake_user(world::alice(), 100);
    let a = w.stake_admin(world::bob(), 10_000);
    assert_eq!(*u.stake_type(), b"user".to_string());
    assert_eq!(*a.stake_type(), b"admin".to_string());
    assert!(u.node_id().is_empty());
    assert!(a.node_id().is_empty());
    assert!(!u.is_for_node());
    assert!(!a.is_for_node());
    assert_eq!(a.staker(), world::bob());
    assert_eq!(u.balance_mist(), 100);
    assert_eq!(w.cluster().node_count(), 0);
    world::put(u);
    world::put(a);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun a_node_stake_below_the_minimum_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_node(world::alice(), 999, b"n1");
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun an_empty_coin_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_user(world::alice(), 0);
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun a_user_stake_below_the_first_tier_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_user(world::alice(), 99);
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun an_admin_stake_below_the_last_tier_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_admin(world::alice(), 9_999);
    abort
}

#[test]
fun the_largest_stake_is_allowed() {
    let mut w = world::begin();
    let r = w.stake_user(world::alice(), MAX_STAKE);
    assert_eq!(r.balance_mist(), MAX_STAKE);
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStakeAboveMaximum)]
fun more_than_the_largest_stake_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_user(world::alice(), MAX_STAKE + 1);
    abort
}

#[test, expected_failure(abort_code = staking::EStakeAboveMaximum)]
fun a_coin_of_all_bits_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_node(world::alice(), 18_446_744_073_709_551_615, b"n1");
    abort
}

#[test, expected_failure(abort_code = staking::EStakeBelowMinimum)]
fun the_minimum_is_the_one_in_force() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay());
    let _r = w.stake_node(world::alice(), 1_999, b"n1");
    abort
}

#[test]
fun a_pending_minimum_does_not_count_yet() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay() - 1);
    let r = w.stake_node(world::alice(), 1_000, b"n1");
    world::put(r);
    w.end();
}

#[test]
fun the_minimum_depends_on_the_type() {
    let p = world::draft().with_minimum(5_000).checked();
    assert_eq!(staking::minimum_mist(&p, &b"node".to_string()), 5_000);
    assert_eq!(staking::minimum_mist(&p, &b"user".to_string()), 100);
    assert_eq!(staking::minimum_mist(&p, &b"admin".to_string()), 10_000);
}

// === Node ids ===

#[test, expected_failure(abort_code = cluster::ENodeIdTaken)]
fun a_node_id_is_taken_once() {
    let mut w = world::begin();
    let r = w.stake_node(world::alice(), 1_000, b"n1");
    world::put(r);
    let _r = w.stake_node(world::bob(), 1_000, b"n1");
    abort
}

#[test, expected_failure(abort_code = cluster::ENodeIdTaken)]
fun a_node_id_is_taken_from_its_own_staker_too() {
    let mut w = world::begin();
    let r = w.stake_node(world::alice(), 1_000, b"n1");
    world::put(r);
    let _r = w.stake_node(world::alice(), 1_000, b"n1");
    abort
}

#[test]
fun a_node_id_is_free_again_when_its_record_unbonds() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    assert_eq!(w.cluster().node_count(), 0);
    let s = w.stake_node(world::bob(), 1_000, b"n1");
    assert_eq!(w.cluster().record_of_node(b"n1".to_string()), option::some(object::id(&s)));
    // The old record's end does not touch the new one.
    w.at(world::unbonding());
    w.withdraw(world::alice(), &mut r);
    assert_eq!(w.cluster().record_of_node(b"n1".to_string()), option::some(object::id(&s)));
    world::put(r);
    world::put(s);
    w.end();
}

#[test]
fun the_same_node_id_lives_in_two_clusters() {
    let mut w = world::begin();
    let r = w.stake_node(world::alice(), 1_000, b"n1");
    let other = w.other_cluster();
    let (mut w, first) = w.swap_cluster(other);
    let s = w.stake_node(world::alice(), 1_000, b"n1");
    assert!(r.cluster() != s.cluster());
    world::put(r);
    world::put(s);
    world::put_cluster(first);
    w.end();
}

#[test]
fun node_ids_are_dns_labels() {
    let good = vector[
        b"a",
        b"0",
        b"z",
        b"9",
        b"n1",
        b"a-b",
        b"a--b",
        b"0a",
        b"worker-01",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    let bad = vector[
        b"",
        b"-",
        b"-a",
        b"a-",
        b"--",
        b"A",
        b"aB",
        b"Za",
        b"a.b",
        b"a_b",
        b"a b",
        b" a",
        b"a ",
        b"a/b",
        b"a:b",
        b"`",
        b"{",
        b"@",
        b"[",
        b"n\xc3\xb6de",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    assert_eq!(good[9].length(), 63);
    assert_eq!(bad[20].length(), 64);
    let mut i = 0;
    while (i < good.length()) {
        assert!(cluster::is_node_id(&good[i].to_string()));
        i = i + 1;
    };
    let mut i = 0;
    while (i < bad.length()) {
        assert!(!cluster::is_node_id(&bad[i].to_string()));
        i = i + 1;
    }
}

#[test, expected_failure(abort_code = cluster::EInvalidNodeId)]
fun an_empty_node_id_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_node(world::alice(), 1_000, b"");
    abort
}

#[test, expected_failure(abort_code = cluster::EInvalidNodeId)]
fun a_dotted_node_id_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_node(world::alice(), 1_000, b"worker.example");
    abort
}

// === Top-up ===

#[test]
fun a_top_up_adds_to_the_stake() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::alice(), &mut r, 10);
    assert_eq!(r.balance_mist(), 1_010);
    assert_eq!(
        world::only_event<staking::StakeToppedUp>(),
        bcs::to_bytes(&w.cluster_id()).and(&object::id(&r)).and(&2u64).and(&10u64).and(&1_010u64),
    );
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = staking::ETopUpBelowMinimum)]
fun a_top_up_below_the_minimum_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::alice(), &mut r, 9);
    abort
}

#[test, expected_failure(abort_code = staking::ETopUpBelowMinimum)]
fun a_top_up_of_nothing_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::alice(), &mut r, 0);
    abort
}

#[test]
fun a_top_up_reaches_the_largest_stake() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::alice(), &mut r, MAX_STAKE - 1_000);
    assert_eq!(r.balance_mist(), MAX_STAKE);
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStakeAboveMaximum)]
fun a_top_up_beyond_the_largest_stake_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::alice(), &mut r, MAX_STAKE - 999);
    abort
}

#[test, expected_failure(abort_code = staking::EStakeAboveMaximum)]
fun a_top_up_of_all_bits_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::alice(), &mut r, 18_446_744_073_709_551_615);
    abort
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_else_tops_up() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up(world::bob(), &mut r, 10);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun an_unbonding_stake_is_not_topped_up() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.top_up(world::alice(), &mut r, 10);
    abort
}

#[test, expected_failure(abort_code = staking::EProposalOpen)]
fun a_top_up_cannot_dodge_an_open_proposal() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 1);
    world::put_proposal(p);
    w.at(world::life() - 1);
    w.top_up(world::alice(), &mut r, 10);
    abort
}

#[test]
fun an_expired_proposal_holds_no_top_up() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 1);
    w.at(world::life());
    w.top_up(world::alice(), &mut r, 10);
    assert_eq!(r.balance_mist(), 1_010);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_top_up_needs_the_records_own_cluster() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.top_up(world::alice(), &mut r, 10);
    abort
}

// === Unstake ===

#[test]
fun an_unstake_frees_the_name_and_fixes_the_times() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    w.at(50);
    w.unstake(world::alice(), &mut r);
    assert_eq!(
        world::only_event<staking::UnstakeRequested>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&3u64)
            .and(&world::alice())
            .and(&b"n1")
            .and(&1_000u64)
            .and(&false)
            .and(&option::some(object::id(&token)))
            .and(&(50 + world::unbonding()))
            .and(&(50 + world::unbonding() + world::unbonding() / 4)),
    );
    assert_eq!(r.status(), 1);
    assert!(!r.is_active());
    assert_eq!(r.balance_mist(), 1_000);
    assert_eq!(r.unlock_at_ms(), 50 + 400_000);
    assert_eq!(r.hold_until_ms(), 50 + 500_000);
    assert!(r.token().is_none());
    assert_eq!(r.token_sequence(), 1);
    assert!(w.cluster().record_of_node(b"n1".to_string()).is_none());
    assert!(!w.is_valid(&r, &token));
    world::put_token(world::alice(), token);
    world::put(r);
    w.end();
}

#[test]
fun an_unstake_without_token_or_node_id() {
    let mut w = world::begin();
    let mut r = w.stake_user(world::alice(), 100);
    w.unstake(world::alice(), &mut r);
    assert_eq!(
        world::only_event<staking::UnstakeRequested>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&world::alice())
            .and(&b"")
            .and(&100u64)
            .and(&false)
            .and(&option::none<ID>())
            .and(&world::unbonding())
            .and(&500_000u64),
    );
    world::put(r);
    w.end();
}

#[test]
fun the_unlock_time_is_fixed_when_the_unbonding_begins() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(world::admin(), world::draft().with_unbonding(31_536_000_000));
    w.at(world::delay() - 1);
    w.unstake(world::alice(), &mut r);
    let unlock = world::delay() - 1 + world::unbonding();
    assert_eq!(r.unlock_at_ms(), unlock);
    w.at(unlock);
    assert_eq!(w.in_force().unbonding_ms(), 31_536_000_000);
    assert_eq!(w.withdraw(world::alice(), &mut r), 1_000);
    world::put(r);
    w.end();
}

#[test]
fun the_unbonding_time_is_the_one_in_force() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(world::admin(), world::draft().with_unbonding(800_000));
    w.at(world::delay());
    w.unstake(world::alice(), &mut r);
    assert_eq!(r.unlock_at_ms(), world::delay() + 800_000);
    assert_eq!(r.hold_until_ms(), world::delay() + 1_000_000);
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_else_unstakes() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::admin(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun an_unstake_happens_once() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.unstake(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun an_unstake_needs_the_records_own_cluster() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.unstake(world::alice(), &mut r);
    abort
}

#[test]
fun the_admin_forces_an_unstake_and_gets_nothing() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.force_unstake(world::admin(), &mut r);
    assert_eq!(
        world::only_event<staking::UnstakeRequested>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&world::alice())
            .and(&b"n1")
            .and(&1_000u64)
            .and(&true)
            .and(&option::none<ID>())
            .and(&world::unbonding())
            .and(&500_000u64),
    );
    assert_eq!(r.status(), 1);
    assert_eq!(r.balance_mist(), 1_000);
    assert_eq!(w.collect(world::admin()), 0);
    w.at(world::unbonding());
    assert_eq!(w.withdraw(world::alice(), &mut r), 1_000);
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun the_staker_does_not_force() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.force_unstake(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun an_admin_does_not_force_in_other_clusters() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.force_unstake(world::admin(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun an_unbonding_record_is_not_forced_again() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(10);
    w.force_unstake(world::admin(), &mut r);
    abort
}

// === Withdraw ===

#[test]
fun everything_comes_back_at_the_unlock_time() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    assert_eq!(w.withdraw(world::alice(), &mut r), 1_000);
    assert_eq!(
        world::only_event<staking::StakeWithdrawn>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&3u64)
            .and(&world::alice())
            .and(&1_000u64),
    );
    assert_eq!(r.status(), 3);
    assert_eq!(r.balance_mist(), 0);
    assert_eq!(r.unlock_at_ms(), world::unbonding());
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStillLocked)]
fun nothing_comes_back_a_moment_earlier() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding() - 1);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::EStillLocked)]
fun with_a_clock_that_stands_still_nothing_comes_back() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotUnbonding)]
fun an_active_stake_is_not_withdrawn() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.at(world::unbonding());
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENothingLeft)]
fun a_stake_is_withdrawn_once() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    w.withdraw(world::alice(), &mut r);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_else_withdraws() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    w.withdraw(world::admin(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_withdrawal_needs_the_records_own_cluster() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun a_withdrawn_record_is_not_unstaked_again() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    w.withdraw(world::alice(), &mut r);
    w.unstake(world::alice(), &mut r);
    abort
}

#[test]
fun coins_out_of_many_records_are_the_coins_that_went_in() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut a = w.stake_node(world::alice(), 5_000, b"a");
    let mut b = w.stake_user(world::bob(), 700);
    let mut c = w.stake_admin(world::alice(), 20_000);
    w.top_up(world::alice(), &mut a, 300);
    let p = w.propose(world::s1(), &mut a, 4_000);
    let q = w.propose(world::s1(), &mut b, 700);
    let r = w.propose(world::s1(), &mut c, 10_001);
    let treasury = w.collect(world::treasury());
    assert_eq!(treasury, 4_000 + 700 + 10_001);
    assert_eq!(a.balance_mist() + b.balance_mist() + c.balance_mist() + treasury, 26_000);
    assert_eq!(a.status(), 0);
    assert_eq!(b.status(), 2);
    assert_eq!(c.status(), 2);
    w.unstake(world::alice(), &mut a);
    w.at(world::unbonding());
    let out = w.withdraw(world::alice(), &mut a) + w.withdraw(world::alice(), &mut c);
    assert_eq!(out + treasury, 26_000);
    world::put(a);
    world::put(b);
    world::put(c);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_proposal(r);
    w.end();
}

// === Consent ===

#[test, expected_failure(abort_code = staking::ETermsChanged)]
fun a_stake_on_older_terms_is_refused() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    let _r = w.stake_node_on_terms(world::alice(), 5_000, b"n1", 1);
    abort
}

#[test, expected_failure(abort_code = staking::ETermsChanged)]
fun a_stake_on_terms_that_nobody_has_seen_is_refused() {
    let mut w = world::begin();
    let _r = w.stake_node_on_terms(world::alice(), 5_000, b"n1", 2);
    abort
}

#[test, expected_failure(abort_code = staking::ETermsChanged)]
fun a_user_stake_names_the_terms_too() {
    let mut w = world::begin();
    let _r = w.stake_user_on_terms(world::alice(), 5_000, 0);
    abort
}

#[test, expected_failure(abort_code = staking::ETermsChanged)]
fun an_admin_stake_names_the_terms_too() {
    let mut w = world::begin();
    let _r = w.stake_admin_on_terms(world::alice(), 50_000, 0);
    abort
}

#[test, expected_failure(abort_code = staking::ETermsChanged)]
fun a_top_up_on_older_terms_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.remove_slasher(world::admin(), world::s3());
    w.top_up_on_terms(world::alice(), &mut r, 10, 1);
    abort
}

#[test, expected_failure(abort_code = staking::ETermsChanged)]
fun a_top_up_on_terms_to_come_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.top_up_on_terms(world::alice(), &mut r, 10, 2);
    abort
}

#[test]
fun a_top_up_on_the_terms_that_the_staker_has_seen_counts() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay());
    w.top_up_on_terms(world::alice(), &mut r, 10, 2);
    assert_eq!(r.balance_mist(), 1_010);
    world::put(r);
    w.end();
}

#[test]
fun the_terms_are_those_of_the_last_act_and_not_of_the_hour() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay());
    let r = w.stake_node_on_terms(world::alice(), 2_000, b"n1", 2);
    assert_eq!(r.minimum_when_staked_mist(), 2_000);
    world::put(r);
    w.end();
}

// === Reserved node ids ===

#[test]
fun a_reserved_node_id_is_for_its_address() {
    let mut w = world::begin();
    let mut squatter = w.stake_node(world::mallory(), 1_000, b"n1");
    w.reserve(world::admin(), b"n1", world::alice());
    assert_eq!(
        world::only_event<cluster::NodeIdReserved>(),
        bcs::to_bytes(&w.cluster_id()).and(&b"n1").and(&world::alice()),
    );
    assert!(squatter.is_active());
    w.force_unstake(world::admin(), &mut squatter);
    let r = w.stake_node(world::alice(), 1_000, b"n1");
    assert_eq!(w.cluster().reserved_for(b"n1".to_string()), option::some(world::alice()));
    world::put(r);
    world::put(squatter);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENodeIdReserved)]
fun a_squatter_does_not_retake_a_reserved_node_id() {
    let mut w = world::begin();
    let mut squatter = w.stake_node(world::mallory(), 1_000, b"n1");
    w.reserve(world::admin(), b"n1", world::alice());
    w.force_unstake(world::admin(), &mut squatter);
    let _r = w.stake_node(world::mallory(), 1_000, b"n1");
    abort
}

#[test]
fun a_reservation_is_replaced_and_ended() {
    let mut w = world::begin();
    w.reserve(world::admin(), b"n1", world::alice());
    w.reserve(world::admin(), b"n2", world::alice());
    w.reserve(world::admin(), b"n1", world::bob());
    assert_eq!(w.cluster().reserved_for(b"n1".to_string()), option::some(world::bob()));
    assert_eq!(w.cluster().reserved_for(b"n2".to_string()), option::some(world::alice()));
    w.unreserve(world::admin(), b"n1");
    assert_eq!(
        world::only_event<cluster::NodeIdUnreserved>(),
        bcs::to_bytes(&w.cluster_id()).and(&b"n1"),
    );
    assert!(w.cluster().reserved_for(b"n1".to_string()).is_none());
    let r = w.stake_node(world::mallory(), 1_000, b"n1");
    world::put(r);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENodeIdNotReserved)]
fun what_is_not_reserved_is_not_released() {
    let mut w = world::begin();
    w.unreserve(world::admin(), b"n1");
    abort
}

#[test, expected_failure(abort_code = cluster::EInvalidNodeId)]
fun what_is_no_node_id_is_not_reserved() {
    let mut w = world::begin();
    w.reserve(world::admin(), b"N1", world::alice());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_reserves() {
    let mut w = world::begin();
    w.reserve(world::alice(), b"n1", world::alice());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_ends_a_reservation() {
    let mut w = world::begin();
    w.reserve(world::admin(), b"n1", world::alice());
    w.unreserve(world::mallory(), b"n1");
    abort
}

// === Version ===

#[test, expected_failure(abort_code = cluster::EWrongVersion)]
fun no_stake_in_a_cluster_of_another_version() {
    let mut w = world::begin();
    w.cluster_mut().set_version_for_testing(2);
    let _r = w.stake_node(world::alice(), 1_000, b"n1");
    abort
}

#[test, expected_failure(abort_code = cluster::EWrongVersion)]
fun no_withdrawal_from_a_cluster_of_another_version() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.cluster_mut().set_version_for_testing(0);
    w.unstake(world::alice(), &mut r);
    abort
}
