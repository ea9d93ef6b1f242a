/// Everything that can happen to an object, for the dev chain's test of effects and of what a transaction may do.
module life::life;

use sui::event;

public struct Thing has key, store { id: UID, value: u64 }
/// Cannot be transferred by just anybody.
public struct Tied has key { id: UID, value: u64 }
public struct Box has key, store { id: UID, thing: Option<Thing> }
public struct Hot { value: u64 }
public struct Receipt has copy, drop, store { value: u64 }
public struct Born has copy, drop { value: u64 }

fun init(ctx: &mut TxContext) {
    transfer::public_transfer(new(1, ctx), ctx.sender());
    transfer::share_object(Tied { id: object::new(ctx), value: 0 });
    event::emit(Born { value: 1 });
}

public fun new(value: u64, ctx: &mut TxContext): Thing { Thing { id: object::new(ctx), value } }
public fun new_tied(value: u64, ctx: &mut TxContext) {
    transfer::transfer(Tied { id: object::new(ctx), value }, ctx.sender());
}
public fun set(thing: &mut Thing, value: u64) { thing.value = value; }
public fun value(thing: &Thing): u64 { thing.value }
public fun sum(things: vector<Thing>): u64 {
    let mut sum = 0;
    let mut things = things;
    while (!things.is_empty()) {
        let Thing { id, value } = things.pop_back();
        id.delete();
        sum = sum + value;
    };
    things.destroy_empty();
    sum
}
public fun destroy(thing: Thing) { let Thing { id, value: _ } = thing; id.delete(); }
public fun pass(thing: Thing): Thing { thing }

public fun share(thing: Thing) { transfer::public_share_object(thing); }
public fun freeze_it(thing: Thing) { transfer::public_freeze_object(thing); }
public fun give(thing: Thing, to: address) { transfer::public_transfer(thing, to); }

public fun wrap(thing: Thing, ctx: &mut TxContext): Box { Box { id: object::new(ctx), thing: option::some(thing) } }
public fun unwrap(box: &mut Box): Thing { box.thing.extract() }
public fun burn_box(box: Box) {
    let Box { id, thing } = box;
    id.delete();
    if (thing.is_some()) destroy(thing.destroy_some()) else thing.destroy_none();
}

public fun come_and_go(ctx: &mut TxContext) { destroy(new(7, ctx)); }
public fun keep(box: &mut Box, thing: Thing) { box.thing.fill(thing); }

public fun hot(value: u64): Hot { Hot { value } }
public fun cool(hot: Hot): u64 { let Hot { value } = hot; value }
public fun receipt(value: u64): Receipt { Receipt { value } }
public fun receipts(a: Receipt, b: &Receipt): u64 { a.value + b.value }
public fun two(): (u64, Receipt) { (1, Receipt { value: 2 }) }
public fun count(bytes: vector<vector<u8>>, flag: Option<bool>): u64 {
    if (flag.is_some()) bytes.length() else 0
}
public fun generic<T: key + store>(_: &T): u64 { 1 }

entry fun only_entry(thing: &Thing): u64 { thing.value }
fun hidden(): u64 { 1 }
public(package) fun family(): u64 { hidden() }
