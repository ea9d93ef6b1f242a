/// The change rings, held against a plain model: every record once a ring, in the order of its last change there.
#[test_only]
module k3s_daas::rings_tests;

use k3s_daas::cluster::{Ring, RingEntry};
use k3s_daas::staking::StakeRecord;
use k3s_daas::world::{Self, World};
use std::unit_test::assert_eq;

// The kinds of change.
const FORCED: u8 = 0;
const ENDED: u8 = 1;
const OTHER: u8 = 2;

#[test]
fun each_kind_of_change_goes_to_its_ring() {
    let mut w = world::begin();
    let mut a = w.stake_node(world::alice(), 1_000, b"a");
    let mut b = w.stake_user(world::bob(), 500);
    let (ia, ib) = (object::id(&a), object::id(&b));
    assert_ring(node(&w, OTHER), vector[ia], vector[1]);
    assert_ring(account(&w, OTHER), vector[ib], vector[2]);
    w.top_up(world::alice(), &mut a, 100);
    assert_ring(node(&w, OTHER), vector[ia], vector[3]);
    let token = w.worker_token(world::alice(), &mut a, world::key());
    assert_ring(node(&w, OTHER), vector[ia], vector[4]);
    let token = w.rotate(world::alice(), &mut a, token, world::key_2());
    assert_ring(node(&w, OTHER), vector[ia], vector[5]);
    w.revoke(world::alice(), &mut a, token);
    assert_eq!(a.last_sequence(), 6);
    assert_ring(node(&w, ENDED), vector[ia], vector[6]);
    assert_ring(node(&w, OTHER), vector[ia], vector[5]);
    let mut p = w.propose(world::s1(), &mut b, 500);
    assert_ring(account(&w, OTHER), vector[ib], vector[7]);
    w.vote(world::s2(), &mut b, &mut p);
    assert_eq!(b.last_sequence(), 8);
    assert_ring(account(&w, FORCED), vector[ib], vector[8]);
    let mut q = w.propose(world::s1(), &mut a, 100);
    w.unstake(world::alice(), &mut a);
    assert_eq!(a.last_sequence(), 10);
    assert_ring(node(&w, ENDED), vector[ia], vector[10]);
    w.at(world::unbonding());
    w.expire(world::mallory(), &mut a, &mut q);
    assert_ring(node(&w, OTHER), vector[ia], vector[11]);
    w.withdraw(world::alice(), &mut a);
    assert_ring(node(&w, ENDED), vector[ia], vector[12]);
    // Nothing else was written anywhere.
    assert_ring(node(&w, FORCED), vector[], vector[]);
    assert_ring(node(&w, OTHER), vector[ia], vector[11]);
    assert_ring(account(&w, ENDED), vector[], vector[]);
    assert_ring(account(&w, OTHER), vector[ib], vector[7]);
    assert_eq!(w.cluster().change_seq(), 12);
    let entry: RingEntry = node(&w, ENDED).entries()[0];
    assert_eq!(entry.entry_record(), ia);
    assert_eq!(entry.entry_sequence(), 12);
    world::put(a);
    world::put(b);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_partial_slash_and_a_forced_unstake_are_forced() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut a = w.stake_node(world::alice(), 2_000, b"a");
    let mut b = w.stake_node(world::bob(), 2_000, b"b");
    let mut c = w.stake_admin(world::bob(), 20_000);
    let p = w.propose(world::s1(), &mut a, 1);
    assert!(a.is_active());
    w.force_unstake(world::admin(), &mut b);
    w.force_unstake(world::admin(), &mut c);
    let (ia, ib, ic) = (object::id(&a), object::id(&b), object::id(&c));
    assert_ring(node(&w, FORCED), vector[ia, ib], vector[5, 6]);
    assert_ring(account(&w, FORCED), vector[ic], vector[7]);
    assert_eq!(b.last_sequence(), 6);
    world::put(a);
    world::put(b);
    world::put(c);
    world::put_proposal(p);
    w.end();
}

/// What a staker may do, as often as money buys it: no slash of another's record leaves its ring.
#[test]
fun no_staker_drops_a_slash_of_another_from_a_ring_at_any_price() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut node_stake = w.stake_node(world::alice(), 2_000, b"victim");
    let mut user_stake = w.stake_user(world::alice(), 500);
    let p = w.propose(world::s1(), &mut node_stake, 2_000);
    let q = w.propose(world::s1(), &mut user_stake, 500);
    let (slashed_node, slashed_user) = (object::id(&node_stake), object::id(&user_stake));
    // More records than any ring holds, each through all that its staker can do.
    let mut mine = vector[];
    let mut i = 0;
    while (i < 140) {
        let mut record = w.stake_user(world::mallory(), 100);
        let token = w.user_token(world::mallory(), &mut record, vector[b"pods:read"], world::key());
        w.revoke(world::mallory(), &mut record, token);
        if (i % 2 == 0) w.unstake(world::mallory(), &mut record);
        mine.push_back(record);
        let mut worker = w.stake_node(world::mallory(), 1_000, label(i));
        w.top_up(world::mallory(), &mut worker, 10);
        w.unstake(world::mallory(), &mut worker);
        mine.push_back(worker);
        i = i + 1;
    };
    w.at(world::unbonding());
    let mut i = 0;
    while (i < mine.length()) {
        if (!mine[i].is_active()) {
            w.withdraw(world::mallory(), &mut mine[i]);
        };
        i = i + 1;
    };
    // The rings that a staker can fill have overflowed, those of the slashes have not.
    assert!(node(&w, ENDED).dropped_seq() > 0);
    assert!(account(&w, ENDED).dropped_seq() > 0);
    assert_ring(node(&w, FORCED), vector[slashed_node], vector[4]);
    assert_ring(account(&w, FORCED), vector[slashed_user], vector[6]);
    assert_eq!(node(&w, FORCED).dropped_seq(), 0);
    assert_eq!(account(&w, FORCED).dropped_seq(), 0);
    while (!mine.is_empty()) world::put(mine.pop_back());
    mine.destroy_empty();
    world::put(node_stake);
    world::put(user_stake);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_full_ring_pushes_its_oldest_out_and_no_other_ring() {
    overflow(true, 128);
    overflow(false, 32);
}

fun overflow(is_node: bool, capacity: u64) {
    let mut w = world::begin();
    let ids = new_ids(&mut w, capacity + 1);
    let mut i = 0;
    while (i < capacity) {
        note(&mut w, ids[i], FORCED, is_node);
        note(&mut w, ids[i], ENDED, is_node);
        note(&mut w, ids[i], OTHER, is_node);
        i = i + 1;
    };
    let mut kind = 0;
    while (kind < 3) {
        assert_eq!(ring(&w, kind, is_node).entries().length(), capacity);
        assert_eq!(ring(&w, kind, is_node).dropped_seq(), 0);
        assert!(ring(&w, kind, !is_node).entries().is_empty());
        kind = kind + 1;
    };
    // A record that is there already pushes nothing out: the oldest, the newest, one between.
    note(&mut w, ids[0], FORCED, is_node);
    note(&mut w, ids[0], FORCED, is_node);
    note(&mut w, ids[10], FORCED, is_node);
    assert_eq!(ring(&w, FORCED, is_node).entries().length(), capacity);
    assert_eq!(ring(&w, FORCED, is_node).dropped_seq(), 0);
    note(&mut w, ids[capacity], FORCED, is_node);
    assert_eq!(ring(&w, FORCED, is_node).entries().length(), capacity);
    // Record 1, whose change was the fourth.
    assert_eq!(ring(&w, FORCED, is_node).dropped_seq(), 4);
    assert_eq!(ring(&w, ENDED, is_node).dropped_seq(), 0);
    note(&mut w, ids[capacity], ENDED, is_node);
    assert_eq!(ring(&w, ENDED, is_node).dropped_seq(), 2);
    note(&mut w, ids[capacity], OTHER, is_node);
    assert_eq!(ring(&w, OTHER, is_node).dropped_seq(), 3);
    assert_eq!(w.cluster().change_seq(), 3 * capacity + 6);
    w.end();
}

#[test]
fun a_thousand_changes_in_one_transaction_are_named_in_order() {
    let mut w = world::begin();
    let ids = new_ids(&mut w, 300);
    let mut models = vector[];
    while (models.length() < 6) models.push_back(Model { entries: vector[], dropped: 0 });
    let mut random: u64 = 12_345;
    let mut sequence = 0;
    while (sequence < 1_000) {
        random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
        sequence = sequence + 1;
        let which = (random / 65_536) % 300;
        let is_node = (random / 1_024) % 4 != 0;
        let kind = (((random / 4_096) % 3) as u8);
        let answered = note(&mut w, ids[which], kind, is_node);
        assert_eq!(answered, sequence);
        let capacity = if (is_node) 128 else 32;
        models[index_of(kind, is_node)].add(which, sequence, capacity);
    };
    assert_eq!(w.cluster().change_seq(), 1_000);
    let mut kind = 0;
    while (kind < 3) {
        models[index_of(kind, true)].assert_same(&ids, ring(&w, kind, true));
        models[index_of(kind, false)].assert_same(&ids, ring(&w, kind, false));
        assert!(models[index_of(kind, true)].dropped > 0);
        kind = kind + 1;
    };
    w.end();
}

fun index_of(kind: u8, is_node: bool): u64 { (kind as u64) * 2 + (if (is_node) 1 else 0) }

#[test]
fun a_thousand_top_ups_in_one_transaction_leave_each_record_once() {
    let mut w = world::begin();
    let mut records = vector[];
    let mut i = 0;
    while (i < 20) {
        records.push_back(w.stake_user(world::alice(), 100));
        i = i + 1;
    };
    w.tx(world::alice());
    let mut i = 0;
    while (i < 1_000) {
        top_up_here(&mut w, &mut records[(i * 7) % 20]);
        i = i + 1;
    };
    assert_eq!(w.cluster().change_seq(), 1_020);
    let ring = account(&w, OTHER).entries();
    assert_eq!(ring.length(), 20);
    let mut i = 0;
    while (i < 20) {
        assert_eq!(ring[i].entry_sequence(), 1_001 + i);
        assert_eq!(ring[i].entry_record(), object::id(&records[((980 + i) * 7) % 20]));
        i = i + 1;
    };
    while (!records.is_empty()) world::put(records.pop_back());
    records.destroy_empty();
    w.end();
}

fun top_up_here(w: &mut World, record: &mut StakeRecord) {
    w.top_up_in_this_transaction(record, 10);
}

/// What a ring should hold, by the plainest means.
public struct Model has drop {
    entries: vector<Entry>,
    dropped: u64,
}

public struct Entry has copy, drop {
    which: u64,
    sequence: u64,
}

fun add(m: &mut Model, which: u64, sequence: u64, capacity: u64) {
    let mut kept = vector[];
    let mut i = 0;
    while (i < m.entries.length()) {
        if (m.entries[i].which != which) kept.push_back(m.entries[i]);
        i = i + 1;
    };
    kept.push_back(Entry { which, sequence });
    if (kept.length() > capacity) {
        let oldest = kept.remove(0);
        m.dropped = oldest.sequence;
    };
    m.entries = kept;
}

fun assert_same(m: &Model, ids: &vector<ID>, ring: &Ring) {
    assert_eq!(ring.entries().length(), m.entries.length());
    assert_eq!(ring.dropped_seq(), m.dropped);
    let mut i = 0;
    while (i < m.entries.length()) {
        assert_eq!(ring.entries()[i].entry_record(), ids[m.entries[i].which]);
        assert_eq!(ring.entries()[i].entry_sequence(), m.entries[i].sequence);
        i = i + 1;
    }
}

fun note(w: &mut World, id: ID, kind: u8, is_node: bool): u64 {
    if (kind == FORCED) w.cluster_mut().note_forced(id, is_node)
    else if (kind == ENDED) w.cluster_mut().note_ended(id, is_node)
    else w.cluster_mut().note_other(id, is_node)
}

fun node(w: &World, kind: u8): &Ring { ring(w, kind, true) }

fun account(w: &World, kind: u8): &Ring { ring(w, kind, false) }

fun ring(w: &World, kind: u8, is_node: bool): &Ring {
    let rings = if (is_node) w.cluster().node_rings() else w.cluster().account_rings();
    if (kind == FORCED) rings.forced()
    else if (kind == ENDED) rings.ended()
    else rings.other()
}

/// That many different ids.
fun new_ids(w: &mut World, count: u64): vector<ID> {
    let mut ids = vector[];
    while (ids.length() < count) ids.push_back(
        object::id_from_address(w.ctx().fresh_object_address()),
    );
    ids
}

/// A node id of its own for each number below 676.
fun label(number: u64): vector<u8> {
    vector[97 + ((number / 26) as u8), 97 + ((number % 26) as u8)]
}

fun assert_ring(ring: &Ring, records: vector<ID>, sequences: vector<u64>) {
    let entries = ring.entries();
    assert_eq!(entries.length(), records.length());
    let mut i = 0;
    while (i < entries.length()) {
        assert_eq!(entries[i].entry_record(), records[i]);
        assert_eq!(entries[i].entry_sequence(), sequences[i]);
        i = i + 1;
    }
}
