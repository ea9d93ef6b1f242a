module sui::tx_context;

#[allow(unused_field)]
public struct TxContext has drop {
    sender: address,
    tx_hash: vector<u8>,
    epoch: u64,
    epoch_timestamp_ms: u64,
    ids_created: u64,
}

public fun sender(_self: &TxContext): address { native_sender() }

public fun digest(self: &TxContext): &vector<u8> { &self.tx_hash }

public fun epoch(_self: &TxContext): u64 { native_epoch() }

public fun fresh_object_address(_ctx: &mut TxContext): address { fresh_id() }

native fun native_sender(): address;
native fun native_epoch(): u64;
native fun fresh_id(): address;
#[allow(unused_function)]
native fun native_epoch_timestamp_ms(): u64;
#[allow(unused_function)]
native fun native_rgp(): u64;
#[allow(unused_function)]
native fun native_gas_price(): u64;
#[allow(unused_function)]
native fun native_gas_budget(): u64;
#[allow(unused_function)]
native fun native_sponsor(): vector<address>;

#[test_only]
native fun replace(
    sender: address,
    tx_hash: vector<u8>,
    epoch: u64,
    epoch_timestamp_ms: u64,
    ids_created: u64,
    rgp: u64,
    gas_price: u64,
    gas_budget: u64,
    sponsor: vector<address>,
);

/// The context of the `number`-th transaction of a test: its hash is the number, little-endian, filled up with zeros.
#[test_only]
public(package) fun for_transaction(sender: address, number: u64, epoch: u64): TxContext {
    let mut tx_hash = std::bcs::to_bytes(&number);
    while (tx_hash.length() < 32) tx_hash.push_back(0);
    replace(
        sender,
        tx_hash,
        epoch,
        native_epoch_timestamp_ms(),
        0,
        native_rgp(),
        native_gas_price(),
        native_gas_budget(),
        native_sponsor(),
    );
    TxContext { sender: @0x0, tx_hash, epoch: 0, epoch_timestamp_ms: 0, ids_created: 0 }
}
