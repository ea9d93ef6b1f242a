/// Slashing by vote: who has a say, when, and what it does to a record.
#[test_only]
module k3s_daas::slashing_tests;

use k3s_daas::slashing;
use k3s_daas::staking;
use k3s_daas::world::{Self, World};
use std::bcs;
use std::unit_test::assert_eq;

use fun world::and as vector.and;

// === Proposing ===

#[test]
fun a_proposal_carries_the_vote_of_its_proposer() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.at(10);
    w.tx(world::s1());
    let id = w.propose_in_this_transaction(&mut r, 1_500, b"absent", world::key());
    assert_eq!(
        world::only_event<slashing::SlashProposed>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&id)
            .and(&world::s1())
            .and(&1_500u64)
            .and(&b"absent")
            .and(&world::key())
            .and(&10u64)
            .and(&(10 + world::life())),
    );
    assert_eq!(
        world::only_event<slashing::SlashVoted>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&id)
            .and(&world::s1())
            .and(&1u64)
            .and(&2u64),
    );
    assert_eq!(world::count_events<staking::StakeSlashed>(), 0);
    w.tx(world::s1());
    let p = w.take_proposal(id);
    assert_eq!(p.cluster(), w.cluster_id());
    assert_eq!(p.record(), object::id(&r));
    assert_eq!(p.proposer(), world::s1());
    assert_eq!(p.amount_mist(), 1_500);
    assert_eq!(*p.reason(), b"absent".to_string());
    assert_eq!(*p.votes(), vector[world::s1()]);
    assert_eq!(*p.electorate(), vector[world::s1(), world::s2(), world::s3()]);
    assert_eq!(p.threshold_at_opening(), 2);
    assert_eq!(p.status(), 0);
    assert_eq!(p.opened_at_ms(), 10);
    assert_eq!(p.executable_at_ms(), 10);
    assert_eq!(*p.evidence(), world::key());
    assert!(p.answer_hash().is_empty());
    assert_eq!(p.expires_at_ms(), 10 + world::life());
    assert_eq!(r.open_proposals().length(), 1);
    let open = &r.open_proposals()[0];
    assert_eq!(open.open_proposal_id(), id);
    assert_eq!(open.open_proposal_proposer(), world::s1());
    assert!(open.open_proposal_has_proposers_vote());
    assert!(open.open_proposal_seconders().is_empty());
    assert_eq!(open.open_proposal_expires_at_ms(), 10 + world::life());
    assert_eq!(r.balance_mist(), 2_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun with_a_threshold_of_one_proposing_is_slashing() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 1_000);
    assert_eq!(p.status(), 1);
    assert_eq!(r.balance_mist(), 1_000);
    assert_eq!(r.status(), 0);
    assert!(r.open_proposals().is_empty());
    assert_eq!(w.collect(world::treasury()), 1_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::ENotSlasher)]
fun a_stranger_proposes_nothing() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::mallory(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::ENotSlasher)]
fun the_admin_proposes_nothing() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::admin(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::ENotSlasher)]
fun a_removed_slasher_proposes_nothing() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.remove_slasher(world::admin(), world::s1());
    let _p = w.propose(world::s1(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::ENotSlasher)]
fun a_slasher_that_pends_proposes_nothing_yet() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(world::admin(), world::draft().with_slashers(vector[world::s1(), world::mallory()]));
    w.at(world::delay() - 1);
    let _p = w.propose(world::mallory(), &mut r, 1);
    abort
}

#[test]
fun a_scheduled_slasher_proposes_from_its_time_on() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(world::admin(), world::draft().with_slashers(vector[world::s1(), world::bob()]));
    w.at(world::delay());
    let p = w.propose(world::bob(), &mut r, 1);
    assert_eq!(*p.electorate(), vector[world::s1(), world::bob()]);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EAmountZero)]
fun a_slash_of_nothing_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 0);
    abort
}

#[test]
fun a_slash_of_all_is_allowed() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 2_000);
    assert_eq!(p.amount_mist(), 2_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EAmountAboveStake)]
fun a_slash_of_more_than_there_is_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 2_001);
    abort
}

#[test, expected_failure(abort_code = slashing::EAmountAboveStake)]
fun a_slash_of_all_bits_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 18_446_744_073_709_551_615);
    abort
}

#[test, expected_failure(abort_code = slashing::EReasonLength)]
fun a_slash_without_reason_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose_because(world::s1(), &mut r, 1, b"");
    abort
}

#[test, expected_failure(abort_code = slashing::EReasonLength)]
fun a_reason_of_257_bytes_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose_because(world::s1(), &mut r, 1, text(257));
    abort
}

#[test]
fun a_reason_of_256_bytes_is_allowed() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose_because(world::s1(), &mut r, 1, text(256));
    assert_eq!(p.reason().length(), 256);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EProposalAlreadyOpen)]
fun a_proposer_has_one_open_proposal_a_record() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 1);
    w.at(world::life() - 1);
    let _q = w.propose(world::s1(), &mut r, 2);
    abort
}

#[test]
fun nobody_blocks_the_proposal_of_another() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let mut s = w.stake_node(world::alice(), 2_000, b"n2");
    let p = w.propose(world::s1(), &mut r, 1);
    let q = w.propose(world::s2(), &mut r, 2);
    let t = w.propose(world::s1(), &mut s, 3);
    assert_eq!(r.open_proposals().length(), 2);
    assert_eq!(s.open_proposals().length(), 1);
    world::put(r);
    world::put(s);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_proposal(t);
    w.end();
}

#[test]
fun after_its_life_a_proposal_makes_room_for_the_next() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 1);
    w.at(1);
    let q = w.propose(world::s2(), &mut r, 2);
    w.at(world::life());
    let mut t = w.propose(world::s1(), &mut r, 3);
    // The expired note is gone, the other open one stays.
    assert_eq!(r.open_proposals().length(), 2);
    assert_eq!(r.open_proposals()[0].open_proposal_id(), object::id(&q));
    assert_eq!(r.open_proposals()[1].open_proposal_id(), object::id(&t));
    w.vote(world::s2(), &mut r, &mut t);
    assert_eq!(r.open_proposals().length(), 1);
    assert_eq!(r.open_proposals()[0].open_proposal_id(), object::id(&q));
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_proposal(t);
    w.end();
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_slasher_of_another_cluster_proposes_nothing_here() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    let _p = w.propose(world::s1(), &mut r, 1);
    abort
}

// === Voting ===

#[test]
fun the_last_vote_slashes() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let mut p = w.propose(world::s1(), &mut r, 1_500);
    w.at(world::life() - 1);
    w.vote(world::s3(), &mut r, &mut p);
    assert_eq!(
        world::only_event<slashing::SlashVoted>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&3u64)
            .and(&object::id(&p))
            .and(&world::s3())
            .and(&2u64)
            .and(&2u64),
    );
    assert_eq!(
        world::only_event<staking::StakeSlashed>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&4u64)
            .and(&object::id(&p))
            .and(&world::alice())
            .and(&b"n1")
            .and(&1_500u64)
            .and(&500u64)
            .and(&world::treasury())
            .and(&b"absent")
            .and(&world::no_evidence())
            .and(&2u8)
            .and(&option::some(object::id(&token)))
            .and(&(world::life() - 1 + world::unbonding()))
            .and(&(world::life() - 1 + 500_000)),
    );
    assert_eq!(p.status(), 1);
    assert_eq!(*p.votes(), vector[world::s1(), world::s3()]);
    assert_eq!(r.status(), 2);
    assert_eq!(r.balance_mist(), 500);
    assert_eq!(r.slashed_amount(), 1_500);
    assert_eq!(*r.slash_reason(), b"absent".to_string());
    assert!(r.token().is_none());
    assert!(!w.is_valid(&r, &token));
    assert!(r.open_proposals().is_empty());
    assert_eq!(r.unlock_at_ms(), world::life() - 1 + world::unbonding());
    assert_eq!(r.hold_until_ms(), world::life() - 1 + 500_000);
    assert!(w.cluster().record_of_node(b"n1".to_string()).is_none());
    assert_eq!(w.collect(world::treasury()), 1_500);
    world::put(r);
    world::put_proposal(p);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun a_slash_that_leaves_the_minimum_leaves_the_record_active() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let token = w.worker_token(world::alice(), &mut r, world::key());
    let mut p = w.propose(world::s1(), &mut r, 1_000);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(
        world::only_event<staking::StakeSlashed>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&4u64)
            .and(&object::id(&p))
            .and(&world::alice())
            .and(&b"n1")
            .and(&1_000u64)
            .and(&1_000u64)
            .and(&world::treasury())
            .and(&b"absent")
            .and(&world::no_evidence())
            .and(&0u8)
            .and(&option::none<ID>())
            .and(&0u64)
            .and(&0u64),
    );
    assert_eq!(r.status(), 0);
    assert_eq!(r.balance_mist(), 1_000);
    assert_eq!(r.slashed_amount(), 1_000);
    assert_eq!(r.unlock_at_ms(), 0);
    assert_eq!(r.token(), option::some(object::id(&token)));
    assert!(w.is_valid(&r, &token));
    assert_eq!(w.cluster().record_of_node(b"n1".to_string()), option::some(object::id(&r)));
    // A second slash adds up.
    let mut q = w.propose_because(world::s2(), &mut r, 1, b"again");
    w.vote(world::s3(), &mut r, &mut q);
    assert_eq!(r.status(), 2);
    assert_eq!(r.slashed_amount(), 1_001);
    assert_eq!(*r.slash_reason(), b"again".to_string());
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_token(world::alice(), token);
    w.end();
}

#[test]
fun the_minimum_that_a_slash_leaves_depends_on_the_type() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut u = w.stake_user(world::alice(), 1_000);
    let mut a = w.stake_admin(world::alice(), 11_000);
    let p = w.propose(world::s1(), &mut u, 900);
    let q = w.propose(world::s1(), &mut a, 1_000);
    assert_eq!(u.status(), 0);
    assert_eq!(a.status(), 0);
    let p2 = w.propose(world::s1(), &mut u, 1);
    let q2 = w.propose(world::s1(), &mut a, 1);
    assert_eq!(u.status(), 2);
    assert_eq!(a.status(), 2);
    world::put(u);
    world::put(a);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_proposal(p2);
    world::put_proposal(q2);
    w.end();
}

#[test]
fun slashed_coins_go_to_the_treasury_in_force() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(world::admin(), world::draft().with_treasury(world::treasury_2()));
    w.accept_treasury(world::treasury_2());
    w.at(world::delay() - 1);
    let mut p = w.propose(world::s1(), &mut r, 2_000);
    w.at(world::delay());
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(w.collect(world::treasury()), 0);
    assert_eq!(w.collect(world::treasury_2()), 2_000);
    assert_eq!(r.balance_mist(), 0);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_slash_takes_no_more_than_an_earlier_one_has_left() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let mut p = w.propose(world::s1(), &mut r, 1_500);
    let mut q = w.propose(world::s2(), &mut r, 1_000);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(r.status(), 2);
    assert_eq!(r.open_proposals().length(), 1);
    let unlock = r.unlock_at_ms();
    // What is left of a slashed stake can be slashed too, and its times stay.
    w.at(10);
    w.vote(world::s1(), &mut r, &mut q);
    assert_eq!(r.balance_mist(), 0);
    assert_eq!(r.slashed_amount(), 2_000);
    assert_eq!(r.status(), 2);
    assert_eq!(r.unlock_at_ms(), unlock);
    assert_eq!(q.status(), 1);
    assert_eq!(w.collect(world::treasury()), 2_000);
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test, expected_failure(abort_code = slashing::ENotSlasher)]
fun a_stranger_does_not_vote() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::mallory(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EAlreadyVoted)]
fun the_proposer_votes_once() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EAlreadyVoted)]
fun a_voter_votes_once() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(p.status(), 0);
    w.vote(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun a_proposal_is_carried_out_once() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.vote(world::s3(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalExpired)]
fun a_vote_at_the_end_of_the_life_is_too_late() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life());
    w.only_vote(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EWrongRecord)]
fun a_proposal_slashes_no_other_record() {
    let mut w = world::begin();
    let (_r, mut p) = opened(&mut w);
    let mut other = w.stake_node(world::bob(), 2_000, b"n2");
    w.only_vote(world::s2(), &mut other, &mut p);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_slasher_of_another_cluster_does_not_vote_here() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.only_vote(world::s2(), &mut r, &mut p);
    abort
}

// === Slashers that come and go ===

#[test, expected_failure(abort_code = slashing::ENotSlasher)]
fun a_removed_slasher_does_not_vote() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.remove_slasher(world::admin(), world::s2());
    w.vote(world::s2(), &mut r, &mut p);
    abort
}

#[test]
fun the_vote_of_a_removed_slasher_counts_no_more() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.remove_slasher(world::admin(), world::s1());
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(
        world::only_event<slashing::SlashVoted>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&object::id(&p))
            .and(&world::s2())
            .and(&1u64)
            .and(&2u64),
    );
    assert_eq!(p.status(), 0);
    assert_eq!(r.balance_mist(), 2_000);
    w.vote(world::s3(), &mut r, &mut p);
    assert_eq!(p.status(), 1);
    assert_eq!(*p.votes(), vector[world::s1(), world::s2(), world::s3()]);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::ENotSlasherAtOpening)]
fun who_became_a_slasher_later_has_no_say() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(
        world::admin(),
        world::draft().with_slashers(vector[world::s1(), world::mallory()]).with_threshold(1),
    );
    w.at(world::delay() - 1);
    let mut p = w.propose(world::s1(), &mut r, 1);
    w.at(world::delay());
    w.vote(world::mallory(), &mut r, &mut p);
    abort
}

#[test]
fun a_threshold_lowered_later_does_not_help_a_proposal() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(world::admin(), world::draft().with_threshold(1));
    w.at(world::delay() - 1);
    let mut p = w.propose(world::s1(), &mut r, 1);
    w.at(world::delay());
    assert_eq!(p.needed_votes(&w.in_force()), 3);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(p.status(), 0);
    w.vote(world::s3(), &mut r, &mut p);
    assert_eq!(p.status(), 1);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_threshold_raised_later_counts() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    assert_eq!(p.needed_votes(&w.in_force()), 2);
    w.raise_threshold(world::admin(), 3);
    assert_eq!(p.needed_votes(&w.in_force()), 3);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(p.status(), 0);
    assert_eq!(p.counted_votes(&w.in_force()), 2);
    w.vote(world::s3(), &mut r, &mut p);
    assert_eq!(p.status(), 1);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun with_too_few_slashers_left_nobody_is_slashed() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.remove_slasher(world::admin(), world::s1());
    w.remove_slasher(world::admin(), world::s3());
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(p.status(), 0);
    assert_eq!(r.balance_mist(), 2_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_leaving_staker_is_out_of_reach_of_an_unwanted_change() {
    // The worst case: the admin schedules slashers of his own; the staker leaves at once; one slasher of the old set
    // opens a proposal at the last moment, to hold the stake until the new set is in force.
    let mut w = world::begin_with(world::draft()
        .with_unbonding(864_000_000)
        .with_life(216_000_000));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(
        world::admin(),
        world::draft()
            .with_unbonding(864_000_000)
            .with_life(216_000_000)
            .with_slashers(vector[world::s1(), world::mallory()])
            .with_threshold(1),
    );
    w.unstake(world::alice(), &mut r);
    w.at(864_000_000 - 1);
    let p = w.propose(world::s1(), &mut r, 2_000);
    w.at(864_000_000 + world::day());
    assert_eq!(w.in_force().slash_threshold(), 1);
    assert_eq!(p.needed_votes(&w.in_force()), 2);
    assert_eq!(p.counted_votes(&w.in_force()), 1);
    w.at(864_000_000 - 1 + 216_000_000);
    assert_eq!(w.withdraw(world::alice(), &mut r), 2_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun no_shortened_unbonding_time_brings_an_unbonding_stake_into_the_reach_of_later_slashers() {
    // The admin first shortens the unbonding time, which looks harmless; forces the stake into the old, long one at the
    // last moment; and then schedules slashers of his own under the short delay.
    let mut w = world::begin_with(world::draft()
        .with_unbonding(864_000_000)
        .with_life(216_000_000));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let short = world::draft().with_unbonding(60_000).with_life(15_000);
    w.schedule(world::admin(), short);
    let shortened_at_ms = 864_000_000 + world::day();
    w.at(shortened_at_ms - 1);
    w.force_unstake(world::admin(), &mut r);
    assert_eq!(r.unlock_at_ms(), shortened_at_ms - 1 + 864_000_000);
    w.at(shortened_at_ms);
    w.schedule(
        world::admin(),
        short.with_slashers(vector[world::mallory()]).with_threshold(1),
    );
    w.at(r.unlock_at_ms());
    assert!(!w.in_force().slashers().contains(&world::mallory()));
    assert_eq!(w.withdraw(world::alice(), &mut r), 2_000);
    world::put(r);
    w.end();
}

// === Unbonding stakes ===

#[test]
fun an_unbonding_stake_is_slashed_and_its_times_stay() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding() - 1);
    let mut p = w.propose(world::s1(), &mut r, 1_500);
    // Beyond the unlock time, but within the life: it holds, and can be carried out.
    w.at(world::unbonding() + world::life() - 2);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(r.status(), 2);
    assert_eq!(r.balance_mist(), 500);
    assert_eq!(r.unlock_at_ms(), world::unbonding());
    assert_eq!(r.hold_until_ms(), 500_000);
    // The rest is free at once.
    assert_eq!(w.withdraw(world::alice(), &mut r), 500);
    assert_eq!(r.status(), 2);
    assert_eq!(r.balance_mist(), 0);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_slash_that_leaves_an_unbonding_stake_the_minimum_leaves_it_unbonding() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    let p = w.propose(world::s1(), &mut r, 1_000);
    assert_eq!(r.status(), 1);
    // Another node may have the name by now: a slash for good does not take it from it.
    let s = w.stake_node(world::bob(), 2_000, b"n1");
    let q = w.propose(world::s1(), &mut r, 1);
    assert_eq!(r.status(), 2);
    assert_eq!(r.unlock_at_ms(), world::unbonding());
    assert_eq!(w.cluster().record_of_node(b"n1".to_string()), option::some(object::id(&s)));
    world::put(r);
    world::put(s);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EUnlocked)]
fun no_proposal_is_opened_at_the_unlock_time() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    let _p = w.propose(world::s1(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::EUnlocked)]
fun no_proposal_is_opened_against_the_unlocked_rest_of_a_slashed_stake() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 1_500);
    w.at(world::unbonding());
    let _q = w.propose(world::s1(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::EStakeGone)]
fun no_proposal_is_opened_against_a_withdrawn_stake() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding());
    w.withdraw(world::alice(), &mut r);
    let _p = w.propose(world::s1(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::EStakeGone)]
fun no_proposal_is_opened_against_nothing() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 2_000);
    let _q = w.propose(world::s1(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = slashing::EStakeGone)]
fun no_proposal_is_opened_when_the_hold_is_over() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding() + world::life());
    let _p = w.propose(world::s1(), &mut r, 1);
    abort
}

#[test, expected_failure(abort_code = staking::EProposalOpen)]
fun an_open_proposal_holds_a_withdrawal() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding() - 1);
    let _p = w.propose(world::s1(), &mut r, 1);
    w.at(world::unbonding() - 1 + world::life() - 1);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test]
fun no_pair_of_slashers_holds_a_withdrawal_longer() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding() - world::life());
    let p = w.propose(world::s1(), &mut r, 1);
    w.at(world::unbonding() - 1);
    let q = w.propose(world::s2(), &mut r, 1);
    w.at(world::unbonding());
    assert!(w.is_held(&r));
    // The end of the second proposal, without anybody calling `expire`.
    w.at(world::unbonding() + world::life() - 1);
    assert!(!w.is_held(&r));
    assert_eq!(w.withdraw(world::alice(), &mut r), 2_000);
    assert!(r.open_proposals().is_empty());
    assert_eq!(r.status(), 3);
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_proposal_decided_lets_the_rest_go() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let mut p = w.propose(world::s1(), &mut r, 500);
    w.unstake(world::alice(), &mut r);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(r.status(), 1);
    w.at(world::unbonding());
    assert_eq!(w.withdraw(world::alice(), &mut r), 1_500);
    assert_eq!(r.status(), 3);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

/// A proposal with a long life, and then a much shorter unbonding time: the hold ends with the record's own quarter.
fun outlived_hold(w: &mut World): (staking::StakeRecord, slashing::SlashProposal) {
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(world::admin(), world::draft().with_unbonding(60_000).with_life(15_000));
    w.at(world::delay() - 1);
    let p = w.propose(world::s1(), &mut r, 1);
    w.at(world::delay());
    w.unstake(world::alice(), &mut r);
    assert_eq!(r.unlock_at_ms(), world::delay() + 60_000);
    assert_eq!(r.hold_until_ms(), world::delay() + 75_000);
    assert_eq!(p.expires_at_ms(), world::delay() - 1 + world::life());
    (r, p)
}

#[test]
fun a_hold_ends_with_the_quarter_of_the_records_own_unbonding_time() {
    let mut w = world::begin();
    let (mut r, mut p) = outlived_hold(&mut w);
    w.at(world::delay() + 75_000 - 1);
    assert!(w.is_held(&r));
    assert!(r.is_slashable(w.now()));
    w.at(world::delay() + 75_000);
    assert!(!w.is_held(&r));
    assert!(!r.is_slashable(w.now()));
    // What cannot be carried out any more can be tidied up before its life is over.
    w.expire(world::mallory(), &mut r, &mut p);
    assert_eq!(p.status(), 2);
    assert_eq!(w.withdraw(world::alice(), &mut r), 2_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = staking::EProposalOpen)]
fun a_hold_lasts_until_the_quarter_is_over() {
    let mut w = world::begin();
    let (mut r, _p) = outlived_hold(&mut w);
    w.at(world::delay() + 75_000 - 1);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = slashing::EStakeGone)]
fun when_the_hold_is_over_no_vote_counts() {
    let mut w = world::begin();
    let (mut r, mut p) = outlived_hold(&mut w);
    w.at(world::delay() + 75_000);
    w.only_vote(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalNotExpired)]
fun until_the_hold_is_over_the_proposal_stays_open() {
    let mut w = world::begin();
    let (mut r, mut p) = outlived_hold(&mut w);
    w.at(world::delay() + 75_000 - 1);
    w.expire(world::mallory(), &mut r, &mut p);
    abort
}

// === Slashed for good ===

#[test]
fun the_rest_of_a_slashed_stake_comes_back_after_the_unbonding_time() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 1_500);
    w.at(world::unbonding());
    assert_eq!(w.withdraw(world::alice(), &mut r), 500);
    assert_eq!(r.status(), 2);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = staking::EStillLocked)]
fun the_rest_of_a_slashed_stake_is_locked_until_then() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 1_500);
    w.at(world::unbonding() - 1);
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENothingLeft)]
fun of_a_stake_slashed_to_nothing_nothing_comes_back() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 2_000);
    w.at(world::unbonding());
    w.withdraw(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun a_slashed_record_is_not_topped_up() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 1_500);
    w.top_up(world::alice(), &mut r, 5_000);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun a_slashed_record_is_not_unstaked() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 1_500);
    w.unstake(world::alice(), &mut r);
    abort
}

#[test, expected_failure(abort_code = staking::ENotActive)]
fun a_slashed_record_gets_no_token() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose(world::s1(), &mut r, 1_500);
    let _t = w.worker_token(world::alice(), &mut r, world::key());
    abort
}

// === Expiry ===

#[test]
fun anybody_tidies_an_expired_proposal_up() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    let q = w.propose(world::s2(), &mut r, 5);
    w.at(world::life());
    w.expire(world::mallory(), &mut r, &mut p);
    assert_eq!(
        world::only_event<slashing::SlashExpired>(),
        bcs::to_bytes(&w.cluster_id()).and(&object::id(&r)).and(&4u64).and(&object::id(&p)),
    );
    assert_eq!(p.status(), 2);
    assert_eq!(r.open_proposals().length(), 1);
    assert_eq!(r.open_proposals()[0].open_proposal_id(), object::id(&q));
    assert_eq!(r.balance_mist(), 2_000);
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EProposalNotExpired)]
fun a_living_proposal_does_not_expire() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life() - 1);
    w.expire(world::alice(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun a_proposal_expires_once() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life());
    w.expire(world::alice(), &mut r, &mut p);
    w.expire(world::alice(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun an_executed_proposal_does_not_expire() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.at(world::life());
    w.expire(world::alice(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun an_expired_proposal_gets_no_vote() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life());
    w.expire(world::alice(), &mut r, &mut p);
    w.vote(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EWrongRecord)]
fun a_proposal_does_not_expire_on_another_record() {
    let mut w = world::begin();
    let (_r, mut p) = opened(&mut w);
    let mut other = w.stake_node(world::bob(), 2_000, b"n2");
    w.at(world::life());
    w.expire(world::alice(), &mut other, &mut p);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun a_proposal_does_not_expire_in_another_cluster() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life());
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.expire(world::alice(), &mut r, &mut p);
    abort
}

#[test]
fun a_proposal_that_nothing_is_left_for_expires_early() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    let mut q = w.propose(world::s2(), &mut r, 2_000);
    w.vote(world::s3(), &mut r, &mut q);
    assert_eq!(r.balance_mist(), 0);
    w.expire(world::mallory(), &mut r, &mut p);
    assert_eq!(p.status(), 2);
    assert!(r.open_proposals().is_empty());
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_proposal_expires_also_when_its_note_is_gone() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life());
    let q = w.propose(world::s1(), &mut r, 1);
    assert_eq!(r.open_proposals().length(), 1);
    w.expire(world::mallory(), &mut r, &mut p);
    assert_eq!(r.open_proposals().length(), 1);
    assert_eq!(r.open_proposals()[0].open_proposal_id(), object::id(&q));
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EStakeGone)]
fun a_vote_on_a_stake_slashed_to_nothing_is_refused() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    let mut q = w.propose(world::s2(), &mut r, 2_000);
    w.vote(world::s3(), &mut r, &mut q);
    w.only_vote(world::s2(), &mut r, &mut p);
    abort
}

/// A node stake of 2 000 and a proposal of `s1` to slash 1 000 of it.
fun opened(w: &mut World): (staking::StakeRecord, slashing::SlashProposal) {
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose(world::s1(), &mut r, 1_000);
    (r, p)
}

fun text(length: u64): vector<u8> {
    let mut bytes = vector[];
    while (bytes.length() < length) bytes.push_back(120);
    bytes
}

// === Executing ===

#[test]
fun a_vote_alone_carries_nothing_out_and_anybody_executes() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    assert_eq!(world::count_events<staking::StakeSlashed>(), 0);
    assert_eq!(p.status(), 0);
    assert_eq!(r.balance_mist(), 2_000);
    // A vote is no change of the record.
    assert_eq!(r.last_sequence(), 2);
    assert_eq!(w.cluster().change_seq(), 2);
    w.execute(world::mallory(), &mut r, &mut p);
    assert_eq!(world::count_events<staking::StakeSlashed>(), 1);
    assert_eq!(p.status(), 1);
    assert_eq!(r.balance_mist(), 1_000);
    assert_eq!(r.last_sequence(), 3);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::ETooFewVotes)]
fun nothing_is_executed_below_the_threshold() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::ETooFewVotes)]
fun the_votes_count_at_execution() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.remove_slasher(world::admin(), world::s2());
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalExpired)]
fun nothing_is_executed_at_the_end_of_the_life() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.at(world::life());
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun nothing_is_executed_twice() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EStakeGone)]
fun nothing_is_executed_when_the_hold_is_over() {
    let mut w = world::begin();
    let (mut r, mut p) = outlived_hold(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.at(world::delay() + 75_000);
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EWrongRecord)]
fun nothing_is_executed_on_another_record() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    let mut other = w.stake_node(world::bob(), 2_000, b"n2");
    w.only_vote(world::s2(), &mut r, &mut p);
    w.execute(world::s1(), &mut other, &mut p);
    abort
}

#[test, expected_failure(abort_code = staking::EWrongCluster)]
fun nothing_is_executed_in_another_cluster() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    let other = w.other_cluster();
    let (mut w, _first) = w.swap_cluster(other);
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

// === Challenge, answer, evidence ===

#[test, expected_failure(abort_code = slashing::EChallengeTime)]
fun nothing_is_executed_within_the_challenge_time() {
    let mut w = world::begin_with(world::draft().with_challenge(50_000));
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.at(50_000 - 1);
    w.execute(world::s1(), &mut r, &mut p);
    abort
}

#[test]
fun when_the_challenge_time_is_over_a_proposal_is_executed() {
    let mut w = world::begin_with(world::draft().with_challenge(50_000));
    w.at(3);
    let (mut r, mut p) = opened(&mut w);
    assert_eq!(p.executable_at_ms(), 50_003);
    w.vote(world::s2(), &mut r, &mut p);
    assert_eq!(p.status(), 0);
    w.at(50_003);
    w.execute(world::mallory(), &mut r, &mut p);
    assert_eq!(p.status(), 1);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_raised_challenge_time_leaves_an_unbonding_stake_within_reach() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(
        world::admin(),
        world::draft()
            .with_threshold(1)
            .with_unbonding(world::day())
            .with_life(world::day() / 4)
            .with_challenge(world::day() / 8),
    );
    w.at(world::delay() - 1);
    w.unstake(world::alice(), &mut r);
    // The last moment at which a proposal can be opened.
    let opened_ms = r.unlock_at_ms() - 1;
    w.at(opened_ms);
    let mut p = w.propose(world::s1(), &mut r, 1_000);
    // An eighth of the unbonding time in force when the stake stopped being active: half of its hold.
    let challenge_ms = world::unbonding() / 8;
    assert_eq!(p.executable_at_ms(), opened_ms + challenge_ms);
    w.at(opened_ms + challenge_ms);
    w.execute(world::mallory(), &mut r, &mut p);
    assert_eq!(p.status(), 1);
    assert_eq!(r.balance_mist(), 0);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_raised_challenge_time_counts_in_full_for_an_active_stake() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.schedule(
        world::admin(),
        world::draft()
            .with_threshold(1)
            .with_unbonding(world::day())
            .with_life(world::day() / 4)
            .with_challenge(world::day() / 8),
    );
    w.at(world::delay());
    let p = w.propose(world::s1(), &mut r, 1_000);
    assert_eq!(p.executable_at_ms(), world::delay() + world::day() / 8);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun an_unbonding_stake_has_the_challenge_time_in_force_where_its_hold_leaves_room() {
    let mut w = world::begin_with(world::draft().with_challenge(49_999));
    let mut r = w.stake_node(world::alice(), 1_000, b"n1");
    w.unstake(world::alice(), &mut r);
    let p = w.propose(world::s1(), &mut r, 1_000);
    assert_eq!(p.executable_at_ms(), 49_999);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun the_evidence_goes_into_the_slash() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let p = w.propose_with(world::s1(), &mut r, 1_500, b"absent", world::key_2());
    assert_eq!(*p.evidence(), world::key_2());
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EHashLength)]
fun evidence_of_31_bytes_is_refused() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose_with(world::s1(), &mut r, 1, b"absent", text(31));
    abort
}

#[test, expected_failure(abort_code = slashing::EHashLength)]
fun no_evidence_is_32_zeros_and_not_nothing() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    let _p = w.propose_with(world::s1(), &mut r, 1, b"absent", b"");
    abort
}

#[test]
fun the_staker_answers_and_may_answer_again() {
    let mut w = world::begin();
    let (r, mut p) = opened(&mut w);
    w.answer(world::alice(), &r, &mut p, world::key());
    assert_eq!(
        world::only_event<slashing::SlashAnswered>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&object::id(&p))
            .and(&world::alice())
            .and(&world::key()),
    );
    assert_eq!(*p.answer_hash(), world::key());
    w.at(world::life() - 1);
    w.answer(world::alice(), &r, &mut p, world::key_2());
    assert_eq!(*p.answer_hash(), world::key_2());
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = staking::ENotStaker)]
fun nobody_answers_for_the_staker() {
    let mut w = world::begin();
    let (r, mut p) = opened(&mut w);
    w.answer(world::s1(), &r, &mut p, world::key());
    abort
}

#[test, expected_failure(abort_code = slashing::EHashLength)]
fun an_answer_of_33_bytes_is_refused() {
    let mut w = world::begin();
    let (r, mut p) = opened(&mut w);
    w.answer(world::alice(), &r, &mut p, text(33));
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalExpired)]
fun an_answer_at_the_end_of_the_life_is_too_late() {
    let mut w = world::begin();
    let (r, mut p) = opened(&mut w);
    w.at(world::life());
    w.answer(world::alice(), &r, &mut p, world::key());
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun a_closed_proposal_is_not_answered() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.cancel(world::s1(), &mut r, &mut p);
    w.answer(world::alice(), &r, &mut p, world::key());
    abort
}

#[test, expected_failure(abort_code = slashing::EWrongRecord)]
fun a_staker_does_not_answer_for_another_record() {
    let mut w = world::begin();
    let (_r, mut p) = opened(&mut w);
    let other = w.stake_node(world::mallory(), 2_000, b"n2");
    w.answer(world::mallory(), &other, &mut p, world::key());
    abort
}

// === Taking back ===

#[test]
fun a_vote_is_taken_back_and_given_again() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.only_vote(world::s3(), &mut r, &mut p);
    assert_eq!(*r.open_proposals()[0].open_proposal_seconders(), vector[world::s2(), world::s3()]);
    w.retract(world::s2(), &mut r, &mut p);
    assert_eq!(
        world::only_event<slashing::SlashVoteRetracted>(),
        bcs::to_bytes(&w.cluster_id())
            .and(&object::id(&r))
            .and(&2u64)
            .and(&object::id(&p))
            .and(&world::s2())
            .and(&2u64)
            .and(&2u64),
    );
    assert_eq!(*p.votes(), vector[world::s1(), world::s3()]);
    assert_eq!(*r.open_proposals()[0].open_proposal_seconders(), vector[world::s3()]);
    assert_eq!(w.cluster().change_seq(), 2);
    w.only_vote(world::s2(), &mut r, &mut p);
    assert_eq!(*p.votes(), vector[world::s1(), world::s3(), world::s2()]);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::ETooFewVotes)]
fun a_vote_taken_back_counts_no_more() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.retract(world::s1(), &mut r, &mut p);
    w.execute(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::ENotVoted)]
fun a_vote_not_given_is_not_taken_back() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.retract(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun a_vote_is_not_taken_back_after_execution() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.retract(world::s2(), &mut r, &mut p);
    abort
}

#[test]
fun without_its_proposers_vote_a_proposal_holds_nothing() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    assert!(w.is_held(&r));
    w.retract(world::s1(), &mut r, &mut p);
    assert!(p.votes().is_empty());
    assert!(!r.open_proposals()[0].open_proposal_has_proposers_vote());
    assert!(!w.is_held(&r));
    w.top_up(world::alice(), &mut r, 10);
    // Its proposer may vote for it again, and it holds again.
    w.only_vote(world::s1(), &mut r, &mut p);
    assert!(r.open_proposals()[0].open_proposal_has_proposers_vote());
    assert!(r.open_proposals()[0].open_proposal_seconders().is_empty());
    assert!(w.is_held(&r));
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_proposers_vote_taken_back_leaves_those_of_others() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.retract(world::s1(), &mut r, &mut p);
    assert_eq!(*p.votes(), vector[world::s2()]);
    assert_eq!(*r.open_proposals()[0].open_proposal_seconders(), vector[world::s2()]);
    assert!(w.is_held(&r));
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun a_vote_for_an_expired_proposal_taken_back_touches_no_other() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.at(world::life());
    // The note of the expired one is dropped for the next of the same proposer.
    let q = w.propose(world::s1(), &mut r, 1);
    w.retract(world::s1(), &mut r, &mut p);
    assert!(p.votes().is_empty());
    assert_eq!(r.open_proposals().length(), 1);
    assert!(r.open_proposals()[0].open_proposal_has_proposers_vote());
    assert!(w.is_held(&r));
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_proposer_takes_the_proposal_back() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.cancel(world::s1(), &mut r, &mut p);
    assert_eq!(
        world::only_event<slashing::SlashCancelled>(),
        bcs::to_bytes(&w.cluster_id()).and(&object::id(&r)).and(&3u64).and(&object::id(&p)),
    );
    assert_eq!(p.status(), 3);
    assert!(r.open_proposals().is_empty());
    assert_eq!(r.last_sequence(), 3);
    // There is room for the next one.
    let q = w.propose(world::s1(), &mut r, 1);
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_proposal_without_any_vote_is_cancelled_too() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.retract(world::s1(), &mut r, &mut p);
    w.cancel(world::s1(), &mut r, &mut p);
    assert_eq!(p.status(), 3);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EOtherVotes)]
fun a_seconded_proposal_is_not_cancelled() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.cancel(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EOtherVotes)]
fun a_seconded_proposal_is_not_cancelled_either_when_the_proposers_vote_is_back() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.retract(world::s1(), &mut r, &mut p);
    w.cancel(world::s1(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::ENotProposer)]
fun nobody_else_cancels_a_proposal() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.cancel(world::s2(), &mut r, &mut p);
    abort
}

#[test, expected_failure(abort_code = slashing::EProposalClosed)]
fun an_executed_proposal_is_not_cancelled() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let (mut r, mut p) = opened(&mut w);
    w.cancel(world::s1(), &mut r, &mut p);
    abort
}

// === Removed slashers' proposals ===

#[test]
fun the_proposal_of_a_removed_slasher_holds_nothing_and_anybody_closes_it() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    w.remove_slasher(world::admin(), world::s1());
    assert!(!w.is_held(&r));
    w.top_up(world::alice(), &mut r, 10);
    w.unstake(world::alice(), &mut r);
    w.at(50_000);
    w.expire(world::mallory(), &mut r, &mut p);
    assert_eq!(p.status(), 2);
    assert!(r.open_proposals().is_empty());
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test]
fun another_slashers_vote_keeps_it_alive() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let (mut r, mut p) = opened(&mut w);
    w.only_vote(world::s2(), &mut r, &mut p);
    w.only_vote(world::s3(), &mut r, &mut p);
    w.remove_slasher(world::admin(), world::s1());
    assert!(w.is_held(&r));
    w.remove_slasher(world::admin(), world::s2());
    assert!(w.is_held(&r));
    w.retract(world::s3(), &mut r, &mut p);
    assert!(!w.is_held(&r));
    world::put(r);
    world::put_proposal(p);
    w.end();
}

#[test, expected_failure(abort_code = slashing::EProposalNotExpired)]
fun nobody_closes_a_proposal_that_a_slasher_in_force_backs() {
    let mut w = world::begin_with(world::draft().with_threshold(3));
    let (mut r, mut p) = opened(&mut w);
    w.vote(world::s2(), &mut r, &mut p);
    w.remove_slasher(world::admin(), world::s1());
    w.expire(world::mallory(), &mut r, &mut p);
    abort
}

#[test]
fun one_held_proposal_among_others_holds() {
    let mut w = world::begin();
    let (mut r, mut p) = opened(&mut w);
    let q = w.propose(world::s2(), &mut r, 5);
    w.retract(world::s1(), &mut r, &mut p);
    assert!(w.is_held(&r));
    // A vote goes to the note of its own proposal.
    w.only_vote(world::s3(), &mut r, &mut p);
    assert_eq!(*r.open_proposals()[0].open_proposal_seconders(), vector[world::s3()]);
    assert!(r.open_proposals()[1].open_proposal_seconders().is_empty());
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_withdrawal_waits_for_no_removed_slasher() {
    let mut w = world::begin();
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.unstake(world::alice(), &mut r);
    w.at(world::unbonding() - 1);
    let p = w.propose(world::s1(), &mut r, 1);
    w.at(world::unbonding());
    w.remove_slasher(world::admin(), world::s1());
    assert_eq!(w.withdraw(world::alice(), &mut r), 2_000);
    world::put(r);
    world::put_proposal(p);
    w.end();
}

// === What ends a record ===

#[test]
fun a_slash_below_a_raised_minimum_ends_no_record_above_its_own() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut r = w.stake_node(world::alice(), 1_500, b"n1");
    w.schedule(world::admin(), world::draft().with_threshold(1).with_minimum(2_000));
    w.at(world::delay());
    let p = w.propose(world::s1(), &mut r, 1);
    assert!(r.is_active());
    let q = w.propose(world::s1(), &mut r, 499);
    assert!(r.is_active());
    assert_eq!(r.balance_mist(), 1_000);
    // At exactly its own minimum any slash ends it.
    let t = w.propose(world::s1(), &mut r, 1);
    assert_eq!(r.status(), 2);
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    world::put_proposal(t);
    w.end();
}

#[test]
fun a_lowered_minimum_protects_earlier_stakes_too() {
    let mut w = world::begin_with(world::draft().with_threshold(1).with_minimum(2_000));
    let mut r = w.stake_node(world::alice(), 2_000, b"n1");
    w.schedule(world::admin(), world::draft().with_threshold(1));
    w.at(world::delay());
    let p = w.propose(world::s1(), &mut r, 1_000);
    assert!(r.is_active());
    let q = w.propose(world::s1(), &mut r, 1);
    assert_eq!(r.status(), 2);
    world::put(r);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}
