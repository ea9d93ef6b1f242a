/// The change rings, held against a plain model: every record once, in the order of its last change.
#[test_only]
module k3s_daas::rings_tests;

use k3s_daas::cluster::RingEntry;
use k3s_daas::staking::StakeRecord;
use k3s_daas::world::{Self, World};
use std::unit_test::assert_eq;

#[test]
fun each_kind_of_change_goes_to_its_ring() {
    let mut w = world::begin();
    let mut a = w.stake_node(world::alice(), 1_000, b"a");
    let mut b = w.stake_user(world::bob(), 500);
    let (ia, ib) = (object::id(&a), object::id(&b));
    assert_rings(&w, vector[], vector[], vector[ia, ib], vector[1, 2]);
    w.top_up(world::alice(), &mut a, 100);
    assert_rings(&w, vector[], vector[], vector[ib, ia], vector[2, 3]);
    let token = w.worker_token(world::alice(), &mut a, world::key());
    assert_rings(&w, vector[], vector[], vector[ib, ia], vector[2, 4]);
    let token = w.rotate(world::alice(), &mut a, token, world::key_2());
    assert_rings(&w, vector[], vector[], vector[ib, ia], vector[2, 5]);
    w.revoke(world::alice(), &mut a, token);
    assert_rings(&w, vector[ia], vector[6], vector[ib, ia], vector[2, 5]);
    let mut p = w.propose(world::s1(), &mut b, 500);
    assert_rings(&w, vector[ia], vector[6], vector[ia, ib], vector[5, 7]);
    w.vote(world::s2(), &mut b, &mut p);
    assert_rings(&w, vector[ia, ib], vector[6, 8], vector[ia, ib], vector[5, 7]);
    let mut q = w.propose(world::s1(), &mut a, 100);
    w.unstake(world::alice(), &mut a);
    assert_rings(&w, vector[ib, ia], vector[8, 10], vector[ib, ia], vector[7, 9]);
    w.at(world::unbonding());
    w.expire(world::mallory(), &mut a, &mut q);
    assert_rings(&w, vector[ib, ia], vector[8, 10], vector[ib, ia], vector[7, 11]);
    w.withdraw(world::alice(), &mut a);
    assert_rings(&w, vector[ib, ia], vector[8, 12], vector[ib, ia], vector[7, 11]);
    assert_eq!(w.cluster().change_seq(), 12);
    let entry: RingEntry = w.cluster().urgent_ring()[1];
    assert_eq!(entry.entry_record(), ia);
    assert_eq!(entry.entry_sequence(), 12);
    world::put(a);
    world::put(b);
    world::put_proposal(p);
    world::put_proposal(q);
    w.end();
}

#[test]
fun a_partial_slash_and_a_forced_unstake_are_urgent() {
    let mut w = world::begin_with(world::draft().with_threshold(1));
    let mut a = w.stake_node(world::alice(), 2_000, b"a");
    let mut b = w.stake_node(world::bob(), 2_000, b"b");
    let p = w.propose(world::s1(), &mut a, 1);
    assert!(a.is_active());
    w.force_unstake(world::admin(), &mut b);
    let (ia, ib) = (object::id(&a), object::id(&b));
    assert_rings(&w, vector[ia, ib], vector[4, 5], vector[ib, ia], vector[2, 3]);
    world::put(a);
    world::put(b);
    world::put_proposal(p);
    w.end();
}

#[test]
fun the_257th_record_pushes_the_oldest_out() {
    let mut w = world::begin();
    let ids = new_ids(&mut w, 257);
    let mut i = 0;
    while (i < 256) {
        note(&mut w, ids[i], true);
        note(&mut w, ids[i], false);
        i = i + 1;
    };
    assert_eq!(w.cluster().urgent_ring().length(), 256);
    assert_eq!(w.cluster().urgent_dropped_seq(), 0);
    assert_eq!(w.cluster().other_dropped_seq(), 0);
    // A record that is there already pushes nothing out: the oldest, the newest, one between.
    note(&mut w, ids[0], true);
    note(&mut w, ids[0], true);
    note(&mut w, ids[100], true);
    assert_eq!(w.cluster().urgent_ring().length(), 256);
    assert_eq!(w.cluster().urgent_dropped_seq(), 0);
    note(&mut w, ids[256], true);
    assert_eq!(w.cluster().urgent_ring().length(), 256);
    // Record 1, whose change was the third.
    assert_eq!(w.cluster().urgent_dropped_seq(), 3);
    assert_eq!(w.cluster().other_dropped_seq(), 0);
    note(&mut w, ids[256], false);
    assert_eq!(w.cluster().other_dropped_seq(), 2);
    assert_eq!(w.cluster().other_ring().length(), 256);
    assert_eq!(w.cluster().change_seq(), 517);
    w.end();
}

#[test]
fun a_thousand_changes_in_one_transaction_are_named_in_order() {
    let mut w = world::begin();
    let ids = new_ids(&mut w, 400);
    let mut urgent = Model { entries: vector[], dropped: 0 };
    let mut other = Model { entries: vector[], dropped: 0 };
    let mut random: u64 = 12_345;
    let mut sequence = 0;
    while (sequence < 1_000) {
        random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
        sequence = sequence + 1;
        let which = (random / 65_536) % 400;
        // Two of three are urgent, so that one ring overflows much and the other hardly.
        let is_urgent = (random / 1_024) % 3 != 0;
        let answered = note(&mut w, ids[which], is_urgent);
        assert_eq!(answered, sequence);
        if (is_urgent) urgent.add(which, sequence) else other.add(which, sequence);
    };
    assert_eq!(w.cluster().change_seq(), 1_000);
    urgent.assert_same(&ids, w.cluster().urgent_ring(), w.cluster().urgent_dropped_seq());
    other.assert_same(&ids, w.cluster().other_ring(), w.cluster().other_dropped_seq());
    assert!(urgent.dropped > 0);
    w.end();
}

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
    let ring = w.cluster().other_ring();
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

fun add(m: &mut Model, which: u64, sequence: u64) {
    let mut kept = vector[];
    let mut i = 0;
    while (i < m.entries.length()) {
        if (m.entries[i].which != which) kept.push_back(m.entries[i]);
        i = i + 1;
    };
    kept.push_back(Entry { which, sequence });
    if (kept.length() > 256) {
        let oldest = kept.remove(0);
        m.dropped = oldest.sequence;
    };
    m.entries = kept;
}

fun assert_same(m: &Model, ids: &vector<ID>, ring: &vector<RingEntry>, dropped: u64) {
    assert_eq!(ring.length(), m.entries.length());
    assert_eq!(dropped, m.dropped);
    let mut i = 0;
    while (i < ring.length()) {
        assert_eq!(ring[i].entry_record(), ids[m.entries[i].which]);
        assert_eq!(ring[i].entry_sequence(), m.entries[i].sequence);
        i = i + 1;
    }
}

fun note(w: &mut World, id: ID, is_urgent: bool): u64 {
    if (is_urgent) w.cluster_mut().note_urgent(id) else w.cluster_mut().note_other(id)
}

/// That many different ids.
fun new_ids(w: &mut World, count: u64): vector<ID> {
    let mut ids = vector[];
    while (ids.length() < count) ids.push_back(
        object::id_from_address(w.ctx().fresh_object_address()),
    );
    ids
}

fun assert_rings(
    w: &World,
    urgent: vector<ID>,
    urgent_sequences: vector<u64>,
    other: vector<ID>,
    other_sequences: vector<u64>,
) {
    assert_ring(w.cluster().urgent_ring(), urgent, urgent_sequences);
    assert_ring(w.cluster().other_ring(), other, other_sequences);
}

fun assert_ring(ring: &vector<RingEntry>, records: vector<ID>, sequences: vector<u64>) {
    assert_eq!(ring.length(), records.length());
    let mut i = 0;
    while (i < ring.length()) {
        assert_eq!(ring[i].entry_record(), records[i]);
        assert_eq!(ring[i].entry_sequence(), sequences[i]);
        i = i + 1;
    }
}
