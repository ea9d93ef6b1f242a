/// The standard library and Sui's framework, as far as the dev chain has them natively. As in `language`, a story is
/// run by the dev chain's machine and by Move's own VM with the real framework beneath it.
module stories::library;

use std::ascii;
use std::bcs;
use std::hash;
use std::string::{Self, String};
use sui::balance;
use sui::coin;
use sui::dynamic_field as field;
use sui::hex;
use sui::sui::SUI;
use sui::table;
use sui::vec_map;
use sui::vec_set;

public struct Holder has key, store { id: UID, note: String }
public struct Mixed has copy, drop, store { a: u8, b: u64, c: bool, d: address, e: vector<u16>, f: Option<u32> }

// === vectors ===

public fun vectors() {
    let mut v = vector[1u64, 2, 3, 4];
    v.reverse();
    assert!(v == vector[4, 3, 2, 1] && v.swap_remove(0) == 4 && v == vector[1, 3, 2]);
    v.insert(9, 1);
    v.insert(8, 4);
    assert!(v == vector[1, 9, 3, 2, 8] && v.swap_remove(4) == 8);
    assert!(vector::flatten(vector[vector[1u8], vector[], vector[2, 3]]) == vector[1, 2, 3]);
    assert!(vector::singleton(5u8) == vector[5]);
    let mut sum = 0;
    v.do!(|x| sum = sum + x);
    assert!(sum == 15);
}

public fun fails_by_an_insert_beyond_the_end() { let mut v = vector[1u8]; v.insert(1, 2); }
public fun fails_by_a_swap_remove_from_nothing() { let mut v: vector<u8> = vector[]; v.swap_remove(0); }
public fun fails_by_a_swap_remove_beyond_the_end() { let mut v = vector[1u8]; v.swap_remove(1); }

// === options ===

public fun options() {
    let mut o = option::some(5u64);
    assert!(o.is_some() && !o.is_none() && o.contains(&5) && *o.borrow() == 5);
    *o.borrow_mut() = 6;
    assert!(o.swap(7) == 6 && o.extract() == 7 && o.is_none());
    o.fill(1);
    assert!(o.swap_or_fill(2) == option::some(1) && o.get_with_default(9) == 2);
    assert!(o.to_vec() == vector[2] && option::none<u8>().to_vec() == vector[]);
    assert!(option::none<u8>().destroy_with_default(3) == 3 && option::some(4u8).destroy_some() == 4);
    assert!(*option::none<u8>().borrow_with_default(&8) == 8 && option::none<u64>().get_with_default(9) == 9);
    assert!(option::none<u8>().swap_or_fill(1) == option::none());
    option::none<u8>().destroy_none();
}

public fun fails_to_borrow_from_nothing() { let o = option::none<u8>(); let _ = *o.borrow(); }
public fun fails_to_extract_from_nothing() { let mut o = option::none<u8>(); o.extract(); }
public fun fails_to_fill_what_is_full() { let mut o = option::some(1u8); o.fill(2); }
public fun fails_to_destroy_some_of_nothing() { option::none<u8>().destroy_some(); }
public fun fails_to_destroy_none_of_some() { option::some(1u8).destroy_none(); }
public fun fails_to_swap_with_nothing() { let mut o = option::none<u8>(); o.swap(1); }

// === strings ===

public fun strings() {
    let mut s = b"hello".to_string();
    s.append(b" world".to_string());
    s.append_utf8(b"!");
    assert!(s.length() == 12 && !s.is_empty() && s.substring(6, 11) == b"world".to_string());
    assert!(s.index_of(&b"world".to_string()) == 6 && s.index_of(&b"nowhere".to_string()) == 12);
    s.insert(5, b",".to_string());
    assert!(*s.as_bytes() == b"hello, world!" && s.into_bytes().length() == 13);
    assert!(string::try_utf8(x"ff").is_none() && string::try_utf8(x"c3a9").is_some());
    let accented = string::utf8(x"c3a978");
    assert!(accented.length() == 3 && accented.substring(2, 3) == b"x".to_string());
    assert!(b"abc".to_ascii_string().length() == 3 && b"abc".to_ascii_string().to_string() == b"abc".to_string());
    assert!(*ascii::string(b"xyz").as_bytes() == b"xyz" && b"q".to_string().to_ascii().into_bytes() == b"q");
}

public fun fails_by_bytes_that_are_no_text() { string::utf8(x"c328"); }
public fun fails_by_a_cut_through_a_letter() { string::utf8(x"c3a9").substring(0, 1); }
public fun fails_by_a_substring_too_long() { b"abc".to_string().substring(1, 4); }
public fun fails_by_an_insert_too_far() { b"abc".to_string().insert(4, b"x".to_string()); }
public fun fails_by_ascii_that_is_none() { ascii::string(x"80"); }
public fun fails_by_text_that_is_no_ascii() { string::utf8(x"c3a9").to_ascii(); }

// === bcs, hashes, hex, addresses ===

public fun encodings() {
    let mixed = Mixed { a: 1, b: 2, c: true, d: @0x3, e: vector[4, 5], f: option::some(6) };
    assert!(
        bcs::to_bytes(&mixed) ==
            x"01020000000000000001000000000000000000000000000000000000000000000000000000000000000302040005000106000000",
    );
    assert!(bcs::to_bytes(&vector[b"a", b""]) == x"02016100" && bcs::to_bytes(&1u256).length() == 32);
    assert!(hash::sha2_256(b"abc") == x"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(hash::sha3_256(b"abc") == x"3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    assert!(hex::encode(x"00ffa1") == b"00ffa1" && hex::decode(b"00FFa1") == x"00ffa1");
    assert!(@0x2.to_bytes().length() == 32 && sui::address::from_bytes(@0x2.to_bytes()) == @0x2);
    assert!(@0xab.to_string() == b"00000000000000000000000000000000000000000000000000000000000000ab".to_string());
}

public fun fails_by_half_a_byte_of_hex() { hex::decode(b"abc"); }
public fun fails_by_letters_that_are_no_hex() { hex::decode(b"zz"); }
public fun fails_by_too_few_bytes_for_an_address() { sui::address::from_bytes(b"short"); }

// === sets and maps ===

public fun sets() {
    let mut set = vec_set::empty<u64>();
    set.insert(3);
    set.insert(1);
    assert!(set.contains(&3) && !set.contains(&2) && set.length() == 2 && !set.is_empty());
    set.remove(&3);
    assert!(*set.keys() == vector[1] && set.into_keys() == vector[1]);
    assert!(vec_set::from_keys(vector[2u8, 1]).into_keys() == vector[2, 1]);
    assert!(vec_set::singleton(b"x").contains(&b"x"));
}

public fun fails_by_a_key_twice_in_a_set() { let mut set = vec_set::singleton(1u8); set.insert(1); }
public fun fails_by_a_key_that_no_set_has() { let mut set = vec_set::singleton(1u8); set.remove(&2); }
public fun fails_by_keys_that_repeat() { vec_set::from_keys(vector[1u8, 1]); }

public fun maps() {
    let mut map = vec_map::empty<String, u64>();
    map.insert(b"one".to_string(), 1);
    map.insert(b"two".to_string(), 2);
    *map.get_mut(&b"two".to_string()) = 22;
    assert!(*map.get(&b"two".to_string()) == 22 && map.length() == 2 && map.contains(&b"one".to_string()));
    assert!(map.try_get(&b"three".to_string()).is_none() && map.try_get(&b"one".to_string()) == option::some(1));
    let (key, value) = map.remove(&b"one".to_string());
    assert!(key == b"one".to_string() && value == 1 && map.keys() == vector[b"two".to_string()]);
    vec_map::empty<u8, u8>().destroy_empty();
}

public fun fails_by_a_key_twice_in_a_map() { let mut map = vec_map::empty(); map.insert(1u8, 1u8); map.insert(1, 2); }
public fun fails_by_a_key_that_no_map_has() { let map = vec_map::empty<u8, u8>(); let _ = *map.get(&1); }
public fun fails_to_remove_a_key_that_no_map_has() { let mut map = vec_map::empty<u8, u8>(); map.remove(&1); }
public fun fails_to_destroy_a_full_map() { let mut map = vec_map::empty(); map.insert(1u8, 1u8); map.destroy_empty(); }

// === coins ===

public fun coins(ctx: &mut TxContext) {
    let mut purse = coin::zero<SUI>(ctx);
    assert!(purse.value() == 0 && purse.balance().value() == 0);
    let rest = purse.split(0, ctx);
    purse.join(rest);
    let mut pot = balance::zero<SUI>();
    assert!(pot.join(purse.into_balance()) == 0);
    let taken = coin::take(&mut pot, 0, ctx);
    coin::put(&mut pot, taken);
    let all = pot.withdraw_all();
    pot.destroy_zero();
    coin::from_balance(all, ctx).destroy_zero();
}

public fun fails_to_take_more_than_there_is(ctx: &mut TxContext) {
    let mut pot = balance::zero<SUI>();
    coin::take(&mut pot, 1, ctx).destroy_zero();
    pot.destroy_zero();
}

public fun fails_to_split_more_than_there_is() {
    let mut pot = balance::zero<SUI>();
    pot.split(1).destroy_zero();
    pot.destroy_zero();
}

public fun fails_to_divide_nothing(ctx: &mut TxContext) {
    let mut purse = coin::zero<SUI>(ctx);
    purse.divide_into_n(2, ctx).destroy_empty();
    purse.destroy_zero();
}

// === objects, dynamic fields, tables ===

public fun objects(ctx: &mut TxContext) {
    let holder = Holder { id: object::new(ctx), note: b"mine".to_string() };
    let id = object::id(&holder);
    assert!(id == holder.id.to_inner() && id.to_address() == object::id_address(&holder));
    assert!(id.to_bytes() == holder.id.to_bytes() && object::id_from_bytes(id.to_bytes()) == id);
    assert!(object::id_from_address(id.to_address()) == *object::borrow_id(&holder));
    assert!(object::id_bytes(&holder).length() == 32 && holder.id.as_inner() == &id);
    let other = object::new(ctx);
    assert!(other.to_address() != id.to_address());
    other.delete();
    let Holder { id, note: _ } = holder;
    id.delete();
}

public fun dynamic_fields(ctx: &mut TxContext) {
    let mut holder = Holder { id: object::new(ctx), note: b"".to_string() };
    field::add(&mut holder.id, b"count", 1u64);
    field::add(&mut holder.id, 7u8, b"seven".to_string());
    let count: &mut u64 = field::borrow_mut(&mut holder.id, b"count");
    *count = *count + 1;
    assert!(*field::borrow<vector<u8>, u64>(&holder.id, b"count") == 2);
    assert!(field::exists_(&holder.id, 7u8) && !field::exists_(&holder.id, 7u64));
    assert!(field::exists_with_type<u8, String>(&holder.id, 7) && !field::exists_with_type<u8, u64>(&holder.id, 7));
    assert!(field::remove_if_exists<u8, String>(&mut holder.id, 7) == option::some(b"seven".to_string()));
    assert!(field::remove_if_exists<u8, String>(&mut holder.id, 7).is_none());
    assert!(field::remove<vector<u8>, u64>(&mut holder.id, b"count") == 2);
    field::add(&mut holder.id, b"count", true);
    assert!(field::remove<vector<u8>, bool>(&mut holder.id, b"count"));
    let Holder { id, note: _ } = holder;
    id.delete();
}

public fun fails_by_a_field_twice(ctx: &mut TxContext) {
    let mut id = object::new(ctx);
    field::add(&mut id, 1u8, 1u8);
    field::add(&mut id, 1u8, 1u8);
    id.delete();
}

public fun fails_by_a_field_that_is_not_there(ctx: &mut TxContext) {
    let id = object::new(ctx);
    let _ = *field::borrow<u8, u8>(&id, 1);
    id.delete();
}

public fun fails_by_a_field_of_another_type(ctx: &mut TxContext) {
    let mut id = object::new(ctx);
    field::add(&mut id, 1u8, 1u8);
    let _ = *field::borrow<u8, u64>(&id, 1);
    id.delete();
}

public fun fails_to_remove_a_field_that_is_not_there(ctx: &mut TxContext) {
    let mut id = object::new(ctx);
    let _: u8 = field::remove(&mut id, 1u8);
    id.delete();
}

public fun tables(ctx: &mut TxContext) {
    let mut table = table::new<String, vector<u8>>(ctx);
    assert!(table.is_empty());
    table.add(b"a".to_string(), b"1");
    table.add(b"b".to_string(), b"2");
    table.borrow_mut(b"a".to_string()).push_back(49);
    assert!(*table.borrow(b"a".to_string()) == b"11" && table[b"b".to_string()] == b"2");
    assert!(table.contains(b"a".to_string()) && !table.contains(b"c".to_string()) && table.length() == 2);
    assert!(table.remove(b"a".to_string()) == b"11" && table.length() == 1);
    table.drop();
    table::new<u8, u8>(ctx).destroy_empty();
}

public fun fails_to_destroy_a_full_table(ctx: &mut TxContext) {
    let mut table = table::new<u8, u8>(ctx);
    table.add(1, 1);
    table.destroy_empty();
}

public fun fails_by_a_key_that_no_table_has(ctx: &mut TxContext) {
    let table = table::new<u8, u8>(ctx);
    let _ = *table.borrow(1);
    table.destroy_empty();
}

public fun fails_by_a_key_twice_in_a_table(ctx: &mut TxContext) {
    let mut table = table::new<u8, u8>(ctx);
    table.add(1, 1);
    table.add(1, 2);
    table.drop();
}
