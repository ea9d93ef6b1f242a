/// How wallets and explorers show the objects of this package. Said once, when the package is published, and frozen:
/// nobody can change what a wallet says of a stake.
module k3s_daas::appearance;

use k3s_daas::k8s_gateway::SealToken;
use k3s_daas::staking::StakeRecord;
use std::string::String;
use sui::display;
use sui::package::{Self, Publisher};

/// The one-time witness.
public struct APPEARANCE has drop {}

fun init(witness: APPEARANCE, ctx: &mut TxContext) {
    let publisher = package::claim(witness, ctx);
    show<SealToken>(
        &publisher,
        b"{token_hash}".to_string(),
        b"Seal token {sequence} of stake {stake_id} (node {node_id}) in cluster {cluster}, until epoch {expires_at}. It ties the stake to the key of one machine. It is no credential, and it cannot be sold or given away.".to_string(),
        ctx,
    );
    show<StakeRecord>(
        &publisher,
        b"Stake for {stake_type} {node_id}".to_string(),
        b"{balance} MIST that {staker} has staked in cluster {cluster}. Status {status} (0 active, 1 unbonding, 2 slashed, 3 withdrawn); {slashed_amount} MIST were slashed.".to_string(),
        ctx,
    );
    publisher.burn();
}

fun show<T: key>(publisher: &Publisher, name: String, description: String, ctx: &mut TxContext) {
    let fields = vector[b"name".to_string(), b"description".to_string()];
    let mut display = display::new_with_fields<T>(
        publisher,
        fields,
        vector[name, description],
        ctx,
    );
    display.update_version();
    transfer::public_freeze_object(display);
}

#[test_only]
public fun init_for_testing(ctx: &mut TxContext) { init(APPEARANCE {}, ctx) }
