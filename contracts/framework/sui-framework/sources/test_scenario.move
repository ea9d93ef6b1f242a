#[test_only]
module sui::test_scenario;

use sui::vec_map::VecMap;

const ENothingThere: u64 = 3;

public struct Scenario {
    txn_number: u64,
    ctx: TxContext,
}

#[allow(unused_field)]
public struct TransactionEffects has drop {
    created: vector<ID>,
    written: vector<ID>,
    deleted: vector<ID>,
    transferred_to_account: VecMap<ID, address>,
    transferred_to_object: VecMap<ID, ID>,
    shared: vector<ID>,
    frozen: vector<ID>,
    num_user_events: u64,
}

public fun begin(sender: address): Scenario {
    Scenario { txn_number: 0, ctx: sui::tx_context::for_transaction(sender, 0, 0) }
}

public fun next_tx(scenario: &mut Scenario, sender: address): TransactionEffects {
    let epoch = scenario.ctx.epoch();
    start_next(scenario, sender, epoch)
}

public fun next_epoch(scenario: &mut Scenario, sender: address): TransactionEffects {
    let epoch = scenario.ctx.epoch() + 1;
    start_next(scenario, sender, epoch)
}

public fun end(scenario: Scenario): TransactionEffects {
    let Scenario { .. } = scenario;
    end_transaction()
}

fun start_next(scenario: &mut Scenario, sender: address, epoch: u64): TransactionEffects {
    scenario.txn_number = scenario.txn_number + 1;
    scenario.ctx = sui::tx_context::for_transaction(sender, scenario.txn_number, epoch);
    end_transaction()
}

public fun ctx(scenario: &mut Scenario): &mut TxContext { &mut scenario.ctx }

public fun sender(scenario: &Scenario): address { scenario.ctx.sender() }

public fun num_user_events(effects: &TransactionEffects): u64 { effects.num_user_events }

public fun created(effects: &TransactionEffects): vector<ID> { effects.created }

public fun written(effects: &TransactionEffects): vector<ID> { effects.written }

public fun deleted(effects: &TransactionEffects): vector<ID> { effects.deleted }

public fun frozen(effects: &TransactionEffects): vector<ID> { effects.frozen }

public fun shared(effects: &TransactionEffects): vector<ID> { effects.shared }

public native fun take_from_address_by_id<T: key>(scenario: &Scenario, account: address, id: ID): T;
public native fun most_recent_id_for_address<T: key>(account: address): Option<ID>;
public native fun ids_for_address<T: key>(account: address): vector<ID>;
public native fun take_shared_by_id<T: key>(scenario: &Scenario, id: ID): T;
public native fun most_recent_id_shared<T: key>(): Option<ID>;

public fun take_from_address<T: key>(scenario: &Scenario, account: address): T {
    let id = most_recent_id_for_address<T>(account);
    assert!(id.is_some(), ENothingThere);
    take_from_address_by_id(scenario, account, id.destroy_some())
}

public fun return_to_address<T: key>(account: address, t: T) {
    sui::transfer::transfer_impl(t, account)
}

public fun take_from_sender_by_id<T: key>(scenario: &Scenario, id: ID): T {
    take_from_address_by_id(scenario, sender(scenario), id)
}

public fun take_from_sender<T: key>(scenario: &Scenario): T {
    take_from_address(scenario, sender(scenario))
}

public fun return_to_sender<T: key>(scenario: &Scenario, t: T) {
    return_to_address(sender(scenario), t)
}

public fun ids_for_sender<T: key>(scenario: &Scenario): vector<ID> {
    ids_for_address<T>(sender(scenario))
}

public fun take_shared<T: key>(scenario: &Scenario): T {
    let id = most_recent_id_shared<T>();
    assert!(id.is_some(), ENothingThere);
    take_shared_by_id(scenario, id.destroy_some())
}

public fun return_shared<T: key>(t: T) { sui::transfer::share_object_impl(t) }

native fun end_transaction(): TransactionEffects;
