/// Parameters: their bounds, and when a change of them counts.
#[test_only]
module k3s_daas::parameters_tests;

use k3s_daas::cluster;
use k3s_daas::world::{Self, World};
use std::bcs;
use std::string::String;
use std::unit_test::assert_eq;

use fun world::and as vector.and;

const MAX_STAKE: u64 = 1_000_000_000_000_000_000;
const MAX_UNBONDING: u64 = 31_536_000_000;

// === Bounds ===

#[test]
fun every_parameter_may_be_at_its_lowest() {
    let p = world::draft()
        .with_tiers(vector[1, 2, 3])
        .with_minimum(2)
        .with_top_up(1)
        .with_unbonding(60_000)
        .with_life(1_000)
        .with_token_epochs(1)
        .with_slashers(vector[@0x1])
        .with_threshold(1)
        .with_treasury(@0x1)
        .checked();
    assert_eq!(p.minimum_stake_mist(), 2);
    assert_eq!(p.minimum_top_up_mist(), 1);
    assert_eq!(p.unbonding_ms(), 60_000);
    assert_eq!(p.proposal_life_ms(), 1_000);
    assert_eq!(p.challenge_ms(), 0);
    assert_eq!(p.maximum_token_epochs(), 1);
    assert_eq!(*p.slashers(), vector[@0x1]);
    assert_eq!(p.slash_threshold(), 1);
    assert_eq!(p.treasury(), @0x1);
    assert_eq!(p.tiers().length(), 3);
    assert_eq!(p.tiers()[0].tier_stake_mist(), 1);
    assert_eq!(p.tiers()[2].tier_stake_mist(), 3);
    assert_eq!(
        *p.tiers()[1].tier_permissions(),
        world::words(vector[b"nodes:write", b"pods:write"]),
    );
}

#[test]
fun every_parameter_may_be_at_its_highest() {
    let slashers = addresses(16);
    let p = world::draft()
        .with_tiers(vector[MAX_STAKE - 2, MAX_STAKE - 1, MAX_STAKE])
        .with_minimum(MAX_STAKE)
        .with_top_up(MAX_STAKE)
        .with_unbonding(MAX_UNBONDING)
        .with_life(MAX_UNBONDING / 4)
        .with_challenge(MAX_UNBONDING / 8)
        .with_token_epochs(1_000)
        .with_slashers(slashers)
        .with_threshold(16)
        .checked();
    assert_eq!(p.minimum_stake_mist(), MAX_STAKE);
    assert_eq!(p.slash_threshold(), 16);
    assert_eq!(p.challenge_ms(), MAX_UNBONDING / 8);
    assert_eq!(cluster::maximum_stake_mist(), MAX_STAKE);
}

#[test, expected_failure(abort_code = cluster::EMinimumStakeOutOfBounds)]
fun a_minimum_above_the_largest_stake_is_refused() {
    world::draft().with_minimum(MAX_STAKE + 1).checked();
}

#[test, expected_failure(abort_code = cluster::EMinimumStakeOutOfBounds)]
fun a_minimum_of_all_bits_is_refused() {
    world::draft().with_minimum(18_446_744_073_709_551_615).checked();
}

#[test, expected_failure(abort_code = cluster::EMinimumBelowWorkerTier)]
fun a_minimum_below_the_worker_tier_is_refused() {
    world::draft().with_minimum(999).checked();
}

#[test]
fun the_worker_tier_is_the_first_that_grants_it() {
    let p = world::draft()
        .with_permissions(vector[
            world::words(vector[b"nodes:write"]),
            world::words(vector[b"pods:write"]),
            world::words(vector[b"*:*"]),
        ])
        .with_minimum(100)
        .checked();
    assert_eq!(p.minimum_stake_mist(), 100);
}

#[test, expected_failure(abort_code = cluster::EMinimumBelowWorkerTier)]
fun a_worker_tier_at_the_top_raises_the_least_minimum() {
    world::draft()
        .with_permissions(vector[
            world::words(vector[b"pods:read"]),
            world::words(vector[b"pods:write"]),
            world::words(vector[b"nodes:write"]),
        ])
        .with_minimum(9_999)
        .checked();
}

#[test, expected_failure(abort_code = cluster::ENoWorkerTier)]
fun parameters_under_which_no_worker_could_join_are_refused() {
    world::draft()
        .with_permissions(vector[
            world::words(vector[b"pods:read"]),
            world::words(vector[b"pods:write"]),
            world::words(vector[b"*:*"]),
        ])
        .checked();
}

#[test, expected_failure(abort_code = cluster::EMinimumTopUpOutOfBounds)]
fun a_top_up_of_nothing_is_refused() { world::draft().with_top_up(0).checked(); }

#[test, expected_failure(abort_code = cluster::EMinimumTopUpOutOfBounds)]
fun a_top_up_above_the_largest_stake_is_refused() {
    world::draft().with_top_up(MAX_STAKE + 1).checked();
}

#[test, expected_failure(abort_code = cluster::EUnbondingOutOfBounds)]
fun an_unbonding_below_a_minute_is_refused() {
    world::draft().with_life(1_000).with_unbonding(59_999).checked();
}

#[test, expected_failure(abort_code = cluster::EUnbondingOutOfBounds)]
fun an_unbonding_above_a_year_is_refused() {
    world::draft().with_unbonding(MAX_UNBONDING + 1).checked();
}

#[test, expected_failure(abort_code = cluster::ETokenLifeOutOfBounds)]
fun tokens_that_never_live_are_refused() { world::draft().with_token_epochs(0).checked(); }

#[test, expected_failure(abort_code = cluster::ETokenLifeOutOfBounds)]
fun tokens_that_live_too_long_are_refused() { world::draft().with_token_epochs(1_001).checked(); }

#[test, expected_failure(abort_code = cluster::EProposalLifeOutOfBounds)]
fun a_proposal_life_below_a_second_is_refused() { world::draft().with_life(999).checked(); }

#[test, expected_failure(abort_code = cluster::EProposalLifeOutOfBounds)]
fun a_proposal_life_above_a_quarter_of_the_unbonding_is_refused() {
    world::draft().with_life(100_001).checked();
}

#[test]
fun a_proposal_life_of_a_quarter_is_allowed() {
    assert_eq!(world::draft().with_life(100_000).checked().proposal_life_ms(), 100_000);
}

#[test, expected_failure(abort_code = cluster::ESlasherCount)]
fun no_slasher_at_all_is_refused() { world::draft().with_slashers(vector[]).checked(); }

#[test, expected_failure(abort_code = cluster::ESlasherCount)]
fun seventeen_slashers_are_refused() { world::draft().with_slashers(addresses(17)).checked(); }

#[test, expected_failure(abort_code = cluster::EDuplicateSlasher)]
fun a_slasher_named_twice_is_refused() {
    world::draft().with_slashers(vector[@0x1, @0x2, @0x1]).checked();
}

#[test, expected_failure(abort_code = cluster::EThresholdOutOfBounds)]
fun a_threshold_of_zero_is_refused() { world::draft().with_threshold(0).checked(); }

#[test, expected_failure(abort_code = cluster::EThresholdOutOfBounds)]
fun a_threshold_above_the_slashers_is_refused() { world::draft().with_threshold(4).checked(); }

#[test]
fun a_threshold_of_all_slashers_is_allowed() {
    assert_eq!(world::draft().with_threshold(3).checked().slash_threshold(), 3);
}

#[test, expected_failure(abort_code = cluster::EZeroTreasury)]
fun a_treasury_that_would_burn_coins_is_refused() { world::draft().with_treasury(@0x0).checked(); }

// === Tiers ===

#[test, expected_failure(abort_code = cluster::ETierCount)]
fun two_stakes_of_tiers_are_refused() { world::draft().with_tiers(vector[100, 1_000]).checked(); }

#[test, expected_failure(abort_code = cluster::ETierCount)]
fun four_stakes_of_tiers_are_refused() {
    world::draft().with_tiers(vector[100, 1_000, 10_000, 100_000]).checked();
}

#[test, expected_failure(abort_code = cluster::ETierCount)]
fun two_lists_of_permissions_are_refused() {
    let mut lists = world::seed_permissions();
    lists.pop_back();
    world::draft().with_permissions(lists).checked();
}

#[test, expected_failure(abort_code = cluster::ETierOrder)]
fun a_first_tier_for_nothing_is_refused() {
    world::draft().with_tiers(vector[0, 1_000, 10_000]).checked();
}

#[test, expected_failure(abort_code = cluster::ETierOrder)]
fun two_tiers_of_the_same_stake_are_refused() {
    world::draft().with_tiers(vector[100, 1_000, 1_000]).checked();
}

#[test, expected_failure(abort_code = cluster::ETierOrder)]
fun falling_tiers_are_refused() {
    world::draft().with_tiers(vector[100, 99, 10_000]).checked();
}

#[test, expected_failure(abort_code = cluster::ETierOrder)]
fun a_tier_above_the_largest_stake_is_refused() {
    world::draft().with_tiers(vector[100, 1_000, MAX_STAKE + 1]).checked();
}

#[test, expected_failure(abort_code = cluster::ETierPermissions)]
fun a_tier_without_permissions_is_refused() {
    world::draft()
        .with_permissions(vector[
            vector[],
            world::words(vector[b"nodes:write"]),
            world::words(vector[b"*:*"]),
        ])
        .checked();
}

#[test]
fun sixteen_permissions_of_a_tier_are_allowed() {
    let p = with_first_tier(many_permissions(16)).checked();
    assert_eq!(p.tiers()[0].tier_permissions().length(), 16);
}

#[test, expected_failure(abort_code = cluster::ETierPermissions)]
fun seventeen_permissions_of_a_tier_are_refused() {
    with_first_tier(many_permissions(17)).checked();
}

#[test, expected_failure(abort_code = cluster::ETierPermissions)]
fun a_malformed_permission_of_a_tier_is_refused() {
    with_first_tier(world::words(vector[b"pods"])).checked();
}

#[test, expected_failure(abort_code = cluster::ETierPermissions)]
fun a_permission_that_two_tiers_name_is_refused() {
    with_first_tier(world::words(vector[b"pods:read", b"pods:write"])).checked();
}

#[test]
fun tiers_hold_at_their_exact_edges() {
    let p = world::draft().checked();
    let expect = vector[
        tier_case(0, 0, 0),
        tier_case(99, 0, 0),
        tier_case(100, 0, 2),
        tier_case(999, 0, 2),
        tier_case(1_000, 1, 4),
        tier_case(9_999, 1, 4),
        tier_case(10_000, 2, 5),
        tier_case(18_446_744_073_709_551_615, 2, 5),
    ];
    let all = world::words(vector[
        b"pods:read",
        b"services:read",
        b"nodes:write",
        b"pods:write",
        b"*:*",
    ]);
    let mut i = 0;
    while (i < expect.length()) {
        let TierCase { stake_mist, tier, permissions } = expect[i];
        assert_eq!(p.tier_of(stake_mist), tier);
        let granted = p.permissions_of(stake_mist);
        assert_eq!(granted.length(), permissions);
        let mut j = 0;
        while (j < permissions) {
            assert_eq!(granted[j], all[j]);
            j = j + 1;
        };
        i = i + 1;
    }
}

public struct TierCase has copy, drop { stake_mist: u64, tier: u8, permissions: u64 }

fun tier_case(stake_mist: u64, tier: u8, permissions: u64): TierCase {
    TierCase { stake_mist, tier, permissions }
}

// === Permissions ===

#[test]
fun permissions_have_a_resource_and_a_verb() {
    let good = vector[
        b"pods:read",
        b"*:*",
        b"*:read",
        b"pods:*",
        b"a:b",
        b"z9:0a",
        b"pods/log:get",
        b"apps.k8s.io:list",
        b"node-metrics:get",
        // 64 bytes
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:bcd",
    ];
    let bad = vector[
        b"",
        b":",
        b"pods",
        b"pods:",
        b":read",
        b"pods:read:x",
        b"Pods:read",
        b"pods:Read",
        b"pods :read",
        b"pods,x:read",
        b"pods:re0:",
        b"**:read",
        b"p*:read",
        b"pods:*x",
        b"`:a",
        b"{:a",
        b"a:`",
        b"a:{",
        // 65 bytes
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:bcd",
    ];
    assert_eq!(good[9].length(), 64);
    assert_eq!(bad[18].length(), 65);
    let mut i = 0;
    while (i < good.length()) {
        assert!(cluster::is_permission(&good[i].to_string()));
        i = i + 1;
    };
    let mut i = 0;
    while (i < bad.length()) {
        assert!(!cluster::is_permission(&bad[i].to_string()));
        i = i + 1;
    }
}

#[test]
fun covering_is_naming_or_naming_all() {
    let some = world::words(vector[b"pods:read"]);
    let all = world::words(vector[b"*:*"]);
    assert!(cluster::covers(&some, &b"pods:read".to_string()));
    assert!(!cluster::covers(&some, &b"pods:write".to_string()));
    assert!(!cluster::covers(&some, &b"*:*".to_string()));
    assert!(cluster::covers(&all, &b"secrets:write".to_string()));
    assert!(cluster::covers(&all, &b"*:*".to_string()));
    assert!(!cluster::covers(&vector[], &b"pods:read".to_string()));
}

// === Changes ===

#[test]
fun a_change_counts_after_the_unbonding_time_and_a_day() {
    let mut w = world::begin();
    w.at(5);
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    let pending = w.cluster().pending().borrow();
    assert_eq!(pending.effective_at_ms(), 5 + world::delay());
    assert!(pending.treasury_accepted());
    assert_eq!(pending.pending_parameters().minimum_stake_mist(), 2_000);
    assert_eq!(
        world::only_event<cluster::ParametersScheduled>(),
        bcs::to_bytes(&w.cluster_id())
            .and(pending.pending_parameters())
            .and(&(5 + world::delay()))
            .and(&true)
            .and(&2u64),
    );
    assert_eq!(minimum_at(&w, 5), 1_000);
    assert_eq!(minimum_at(&w, 5 + world::delay() - 1), 1_000);
    assert_eq!(minimum_at(&w, 5 + world::delay()), 2_000);
    assert_eq!(minimum_at(&w, 5 + world::delay() + 1), 2_000);
    assert_eq!(w.cluster().stored_parameters().minimum_stake_mist(), 1_000);
    w.end();
}

#[test]
fun a_new_change_replaces_the_pending_one_and_starts_anew() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay() - 1);
    w.schedule(world::admin(), world::draft().with_minimum(3_000));
    assert_eq!(minimum_at(&w, world::delay()), 1_000);
    assert_eq!(minimum_at(&w, 2 * world::delay() - 2), 1_000);
    assert_eq!(minimum_at(&w, 2 * world::delay() - 1), 3_000);
    w.end();
}

#[test]
fun the_delay_is_that_of_the_unbonding_time_in_force() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_unbonding(800_000));
    assert_eq!(w.cluster().pending().borrow().effective_at_ms(), world::delay());
    // In force since this very moment, though nobody has called anything: it is what counts.
    w.at(world::delay());
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    assert_eq!(
        w.cluster().pending().borrow().effective_at_ms(),
        world::delay() + 800_000 + world::day(),
    );
    assert_eq!(w.cluster().stored_parameters().unbonding_ms(), 800_000);
    assert_eq!(w.in_force().unbonding_ms(), 800_000);
    w.end();
}

#[test]
fun after_a_shortened_unbonding_time_the_next_change_waits_for_those_who_unbond_under_the_longer() {
    let mut w = world::begin_with(world::draft().with_unbonding(864_000_000));
    assert_eq!(w.cluster().earlier_unlock_ms(), 0);
    w.schedule(world::admin(), world::draft());
    let shortened_at_ms = 864_000_000 + world::day();
    let all_out_at_ms = shortened_at_ms + 864_000_000;
    w.at(shortened_at_ms);
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    assert_eq!(w.cluster().earlier_unlock_ms(), all_out_at_ms);
    assert_eq!(w.cluster().pending().borrow().effective_at_ms(), all_out_at_ms);
    // A change that is announced later waits only as long as is left of it, and never less than its own delay.
    w.at(all_out_at_ms - world::delay());
    w.schedule(world::admin(), world::draft().with_minimum(3_000));
    assert_eq!(w.cluster().pending().borrow().effective_at_ms(), all_out_at_ms);
    w.at(all_out_at_ms - world::delay() + 1);
    w.schedule(world::admin(), world::draft().with_minimum(3_000));
    assert_eq!(w.cluster().pending().borrow().effective_at_ms(), all_out_at_ms + 1);
    // Whoever settles it, and when: what counts is when the change came into force.
    w.at(2 * all_out_at_ms);
    w.raise_threshold(world::admin(), 3);
    assert_eq!(w.cluster().earlier_unlock_ms(), all_out_at_ms + 1 + world::unbonding());
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_schedules() {
    let mut w = world::begin();
    w.schedule(world::s1(), world::draft());
    abort
}

#[test]
fun a_new_treasury_counts_once_it_has_accepted() {
    let mut w = world::begin();
    w.schedule(
        world::admin(),
        world::draft().with_treasury(world::treasury_2()).with_minimum(2_000),
    );
    assert!(!w.cluster().pending().borrow().treasury_accepted());
    w.at(world::delay() - 1);
    w.accept_treasury(world::treasury_2());
    assert_eq!(
        world::only_event<cluster::TreasuryAccepted>(),
        bcs::to_bytes(&w.cluster_id()).and(&world::treasury_2()).and(&world::delay()).and(&3u64),
    );
    assert!(w.cluster().pending().borrow().treasury_accepted());
    assert_eq!(w.in_force().treasury(), world::treasury());
    w.at(world::delay());
    assert_eq!(w.in_force().treasury(), world::treasury_2());
    assert_eq!(w.in_force().minimum_stake_mist(), 2_000);
    w.end();
}

#[test]
fun a_treasury_that_has_not_accepted_never_counts() {
    let mut w = world::begin();
    w.schedule(
        world::admin(),
        world::draft().with_treasury(world::treasury_2()).with_minimum(2_000),
    );
    w.at(world::delay());
    assert_eq!(w.in_force().treasury(), world::treasury());
    assert_eq!(w.in_force().minimum_stake_mist(), 2_000);
    // The next change starts from what is in force: the old treasury needs no acceptance.
    w.schedule(world::admin(), world::draft());
    assert!(w.cluster().pending().borrow().treasury_accepted());
    assert_eq!(w.cluster().stored_parameters().treasury(), world::treasury());
    assert_eq!(w.cluster().stored_parameters().minimum_stake_mist(), 2_000);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENoTreasuryToAccept)]
fun a_treasury_cannot_accept_once_the_change_is_in_force() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_treasury(world::treasury_2()));
    w.at(world::delay());
    w.accept_treasury(world::treasury_2());
    abort
}

#[test, expected_failure(abort_code = cluster::ENoTreasuryToAccept)]
fun a_treasury_accepts_once() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_treasury(world::treasury_2()));
    w.accept_treasury(world::treasury_2());
    w.accept_treasury(world::treasury_2());
    abort
}

#[test, expected_failure(abort_code = cluster::ENoTreasuryToAccept)]
fun without_a_pending_change_there_is_nothing_to_accept() {
    let mut w = world::begin();
    w.accept_treasury(world::treasury());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotNewTreasury)]
fun nobody_accepts_for_the_new_treasury() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_treasury(world::treasury_2()));
    w.accept_treasury(world::admin());
    abort
}

// === Slashers and threshold, at once ===

#[test]
fun a_slasher_is_removed_at_once_and_does_not_come_back() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.remove_slasher(world::admin(), world::s1());
    assert_eq!(
        world::only_event<cluster::SlasherRemoved>(),
        bcs::to_bytes(&w.cluster_id()).and(&world::s1()).and(&3u64),
    );
    assert_eq!(*w.in_force().slashers(), vector[world::s2(), world::s3()]);
    w.at(world::delay());
    assert_eq!(*w.in_force().slashers(), vector[world::s2(), world::s3()]);
    assert_eq!(w.in_force().minimum_stake_mist(), 2_000);
    w.end();
}

#[test]
fun without_a_pending_change_a_slasher_is_removed_too() {
    let mut w = world::begin();
    w.remove_slasher(world::admin(), world::s2());
    assert_eq!(*w.in_force().slashers(), vector[world::s1(), world::s3()]);
    w.end();
}

#[test]
fun a_slasher_that_only_pends_is_removed() {
    let mut w = world::begin();
    w.schedule(
        world::admin(),
        world::draft().with_slashers(vector[world::s1(), world::s2(), world::mallory()]),
    );
    w.remove_slasher(world::admin(), world::mallory());
    w.at(world::delay());
    assert_eq!(*w.in_force().slashers(), vector[world::s1(), world::s2()]);
    w.end();
}

#[test]
fun a_slasher_that_the_pending_change_drops_is_removed_now() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_slashers(vector[world::s1(), world::s2()]));
    w.remove_slasher(world::admin(), world::s3());
    assert_eq!(*w.in_force().slashers(), vector[world::s1(), world::s2()]);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENotASlasher)]
fun whom_a_change_in_force_has_dropped_is_no_slasher() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_slashers(vector[world::s1(), world::s2()]));
    w.at(world::delay());
    w.remove_slasher(world::admin(), world::s3());
    abort
}

#[test]
fun even_the_last_slasher_can_be_removed() {
    let mut w = world::begin_with(world::draft()
        .with_slashers(vector[world::s1()])
        .with_threshold(1));
    w.remove_slasher(world::admin(), world::s1());
    assert!(w.in_force().slashers().is_empty());
    assert_eq!(w.in_force().slash_threshold(), 1);
    w.end();
}

#[test, expected_failure(abort_code = cluster::ENotASlasher)]
fun a_stranger_cannot_be_removed() {
    let mut w = world::begin();
    w.remove_slasher(world::admin(), world::mallory());
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_removes_a_slasher() {
    let mut w = world::begin();
    w.remove_slasher(world::s2(), world::s1());
    abort
}

#[test]
fun the_threshold_is_raised_at_once() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_threshold(1));
    w.raise_threshold(world::admin(), 3);
    assert_eq!(
        world::only_event<cluster::SlashThresholdRaised>(),
        bcs::to_bytes(&w.cluster_id()).and(&3u64).and(&3u64),
    );
    assert_eq!(w.in_force().slash_threshold(), 3);
    // What was announced comes as announced.
    w.at(world::delay());
    assert_eq!(w.in_force().slash_threshold(), 1);
    w.end();
}

#[test]
fun raising_starts_from_the_threshold_in_force() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_threshold(1));
    w.at(world::delay());
    w.raise_threshold(world::admin(), 2);
    assert_eq!(w.in_force().slash_threshold(), 2);
    w.end();
}

#[test, expected_failure(abort_code = cluster::EThresholdNotRaised)]
fun the_same_threshold_is_not_raised() {
    let mut w = world::begin();
    w.raise_threshold(world::admin(), 2);
    abort
}

#[test, expected_failure(abort_code = cluster::EThresholdNotRaised)]
fun the_threshold_is_not_lowered_at_once() {
    let mut w = world::begin();
    w.raise_threshold(world::admin(), 1);
    abort
}

#[test, expected_failure(abort_code = cluster::EThresholdNotRaised)]
fun the_threshold_is_not_raised_above_the_slashers() {
    let mut w = world::begin();
    w.raise_threshold(world::admin(), 4);
    abort
}

#[test, expected_failure(abort_code = cluster::ENotAdmin)]
fun nobody_else_raises_the_threshold() {
    let mut w = world::begin();
    w.raise_threshold(world::s1(), 3);
    abort
}

fun minimum_at(w: &World, now_ms: u64): u64 {
    w.cluster().parameters_at(now_ms).minimum_stake_mist()
}

fun addresses(count: u64): vector<address> {
    let mut all = vector[
        @0x1,
        @0x2,
        @0x3,
        @0x4,
        @0x5,
        @0x6,
        @0x7,
        @0x8,
        @0x9,
        @0xa,
        @0xb,
        @0xc,
        @0xd,
        @0xe,
        @0xf,
        @0x10,
        @0x11,
    ];
    while (all.length() > count) {
        all.pop_back();
    };
    all
}

fun many_permissions(count: u64): vector<String> {
    let mut list = vector[];
    let mut i = 0;
    while (i < count) {
        let mut name = b"r";
        name.push_back(97 + (i as u8));
        name.append(b":get");
        list.push_back(name.to_string());
        i = i + 1;
    };
    list
}

fun with_first_tier(permissions: vector<String>): world::Draft {
    let lists = world::seed_permissions();
    world::draft().with_permissions(vector[permissions, lists[1], lists[2]])
}

// === The challenge time ===

#[test, expected_failure(abort_code = cluster::EChallengeOutOfBounds)]
fun a_challenge_of_more_than_half_the_life_is_refused() {
    world::draft().with_challenge(world::life() / 2 + 1).checked();
}

#[test]
fun a_challenge_of_half_an_odd_life_is_rounded_down() {
    let p = world::draft().with_life(99_999).with_challenge(49_999).checked();
    assert_eq!(p.challenge_ms(), 49_999);
}

#[test, expected_failure(abort_code = cluster::EChallengeOutOfBounds)]
fun a_challenge_of_half_an_odd_life_is_not_rounded_up() {
    world::draft().with_life(99_999).with_challenge(50_000).checked();
}

// === The version of the terms, and what became of changes ===

#[test]
fun the_version_of_the_terms_rises_with_acts_and_never_by_time() {
    let mut w = world::begin();
    assert_eq!(w.cluster().terms_version(), 1);
    w.schedule(world::admin(), world::draft().with_treasury(world::treasury_2()));
    assert_eq!(w.cluster().terms_version(), 2);
    w.accept_treasury(world::treasury_2());
    assert_eq!(w.cluster().terms_version(), 3);
    w.at(world::delay());
    assert_eq!(w.cluster().terms_version(), 3);
    w.settle(world::mallory());
    assert_eq!(w.cluster().terms_version(), 3);
    w.remove_slasher(world::admin(), world::s1());
    assert_eq!(w.cluster().terms_version(), 4);
    w.schedule(world::admin(), world::draft());
    w.at(2 * world::delay());
    w.raise_threshold(world::admin(), 3);
    assert_eq!(w.cluster().terms_version(), 6);
    // What does not concern the coins of a staker does not raise it.
    w.good_gateway(world::admin());
    w.set_servers(world::admin(), vector[b"https://a:6443"], vector[]);
    w.reserve(world::admin(), b"n1", world::alice());
    w.offer_admin(world::admin(), world::bob());
    w.accept_admin(world::bob());
    assert_eq!(w.cluster().terms_version(), 6);
    w.end();
}

#[test]
fun a_replaced_change_is_said_to_be_replaced() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    assert_eq!(world::count_events<cluster::ParametersReplaced>(), 0);
    let replaced = *w.cluster().pending().borrow().pending_parameters();
    w.at(world::delay() - 1);
    w.schedule(world::admin(), world::draft().with_minimum(3_000));
    assert_eq!(
        world::only_event<cluster::ParametersReplaced>(),
        bcs::to_bytes(&w.cluster_id()).and(&replaced).and(&world::delay()),
    );
    assert_eq!(world::count_events<cluster::ParametersInForce>(), 0);
    w.end();
}

#[test]
fun a_change_in_force_is_said_by_the_next_act_and_not_replaced() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay() + 5);
    w.schedule(world::admin(), world::draft().with_minimum(3_000));
    assert_eq!(world::count_events<cluster::ParametersReplaced>(), 0);
    assert_eq!(
        world::only_event<cluster::ParametersInForce>(),
        bcs::to_bytes(&w.cluster_id()).and(w.cluster().stored_parameters()).and(&world::delay()),
    );
    assert_eq!(w.cluster().stored_parameters().minimum_stake_mist(), 2_000);
    w.end();
}

#[test]
fun anybody_settles_a_change_when_its_time_has_come() {
    let mut w = world::begin();
    w.schedule(world::admin(), world::draft().with_minimum(2_000));
    w.at(world::delay() - 1);
    w.settle(world::mallory());
    assert_eq!(world::count_events<cluster::ParametersInForce>(), 0);
    assert!(w.cluster().pending().is_some());
    w.at(world::delay());
    w.settle(world::mallory());
    assert_eq!(
        world::only_event<cluster::ParametersInForce>(),
        bcs::to_bytes(&w.cluster_id()).and(w.cluster().stored_parameters()).and(&world::delay()),
    );
    assert!(w.cluster().pending().is_none());
    assert_eq!(w.in_force().minimum_stake_mist(), 2_000);
    w.settle(world::mallory());
    assert_eq!(world::count_events<cluster::ParametersInForce>(), 0);
    w.end();
}
